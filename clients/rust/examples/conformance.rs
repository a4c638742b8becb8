//! Runs the cases of the conformance suite with the client. Cases come from the standard input, one a line.

use std::convert::Infallible;
use std::error;
use std::time::Duration;

use base64::{engine::general_purpose::STANDARD, Engine};
use mailmesh_client::contract::mailmesh::processor::v1::{event::Kind, Event, EventView};
use mailmesh_client::contract::mailmesh::vault::v1::tenant_service_client::TenantServiceClient;
use mailmesh_client::contract::mailmesh::vault::v1::GetTenantRequest;
use mailmesh_client::{
    follow, verify_webhook, Connection, CursorStore, Error, FileCursorStore, FollowError,
    MemoryCursorStore, Options, WebhookHeaders,
};

type Failure = Box<dyn error::Error>;

/// The event behind the last one to process.
struct Enough;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    for line in std::io::stdin().lines() {
        let line = line?;
        let fields: Vec<&str> = line.split('\t').collect();
        let say = |words: &[&str]| println!("{}\t{}", fields[1], words.join("\t"));
        let told = match fields[0] {
            "follow" if fields[4].starts_with("file:") => {
                follow_case(&say, &fields[2..], FileCursorStore::new(&fields[4][5..])).await?
            }
            "follow" => {
                let cursor = fields[4].trim_start_matches("memory:").to_owned();
                follow_case(&say, &fields[2..], MemoryCursorStore { cursor }).await?
            }
            "tenant" => tenant_case(&say, &fields[2..]).await?,
            _ => verify_case(&say, &fields[2..])?,
        };
        if let Some(error) = told {
            say_error(&say, &error);
        }
        say(&["end"]);
    }
    Ok(())
}

async fn follow_case(
    say: &impl Fn(&[&str]),
    fields: &[&str],
    mut store: impl CursorStore,
) -> Result<Option<Error>, Failure> {
    let connection = Connection::open(fields[0], fields[1])?;
    let mut left: usize = fields[3].parse()?;
    let mut options = Options {
        view: EventView::Body,
        heartbeat_seconds: 1,
        first_pause: Duration::from_millis(50),
        longest_pause: Duration::from_millis(200),
        ..Options::default()
    };
    let name = fields[1].to_owned();
    if fields[4] == "continue" {
        let tell = move |lost: &Error| {
            println!(
                "{name}\tgap\t{}\t{}",
                lost.reason,
                lost.oldest_cursor().unwrap_or("")
            )
        };
        options.on_gap = Some(Box::new(tell));
    }
    let end = follow(&connection, &mut store, options, async |event: Event| {
        if left == 0 {
            return Err(Enough);
        }
        left -= 1;
        if let Some(Kind::Mail(mail)) = event.kind {
            let length = mail
                .message
                .and_then(|message| message.body)
                .map_or(0, |body| body.text.len());
            say(&[
                "event",
                &mail.event_id,
                &mail.event_type,
                &length.to_string(),
            ]);
        }
        Ok(())
    })
    .await;
    say(&["cursor", &store.load().await?]);
    ended(end)
}

fn ended(end: Result<Infallible, FollowError<Enough>>) -> Result<Option<Error>, Failure> {
    match end {
        Err(FollowError::Processing(Enough)) => Ok(None),
        Err(FollowError::Call(error)) => Ok(Some(error)),
        Err(FollowError::Store(error)) => Err(error.into()),
        Ok(never) => match never {},
    }
}

async fn tenant_case(say: &impl Fn(&[&str]), fields: &[&str]) -> Result<Option<Error>, Failure> {
    let connection = Connection::open(fields[0], fields[1])?;
    let request = GetTenantRequest {
        tenant_id: fields[2].to_owned(),
    };
    match TenantServiceClient::new(connection.calls())
        .get_tenant(request)
        .await
    {
        Ok(reply) => {
            let tenant = reply.into_inner().tenant.unwrap_or_default();
            say(&["tenant", &tenant.tenant_id, &tenant.status.to_string()]);
            Ok(None)
        }
        Err(status) => Ok(Some(status.into())),
    }
}

fn verify_case(say: &impl Fn(&[&str]), fields: &[&str]) -> Result<Option<Error>, Failure> {
    let headers = WebhookHeaders {
        id: fields[1],
        timestamp: fields[2],
        signatures: fields[3],
    };
    let keys: Vec<&str> = fields[5].split_whitespace().collect();
    say(&[verify_webhook(
        &keys,
        &headers,
        &STANDARD.decode(fields[4])?,
        fields[0].parse()?,
    )?]);
    Ok(None)
}

fn say_error(say: &impl Fn(&[&str]), error: &Error) {
    let kind = if error.is_cursor_lost() {
        "cursor_lost"
    } else if error.is_key_refused() {
        "key_refused"
    } else {
        "failed"
    };
    let code = format!("{:?}", error.code).to_uppercase();
    let reason = if error.reason.is_empty() {
        &code
    } else {
        &error.reason
    };
    let pause = error
        .retry_after
        .map(|pause| pause.as_secs().to_string())
        .unwrap_or_default();
    let mut metadata: Vec<String> = error
        .metadata
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    metadata.sort();
    say(&["error", kind, reason, &pause, &metadata.join(",")]);
}
