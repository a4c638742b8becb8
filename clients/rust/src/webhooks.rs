//! Verifies the webhooks of mailmesh: Standard Webhooks, `v1` and `v1a`.

use base64::{engine::general_purpose::STANDARD, Engine};
use ring::{hmac, signature};
use std::fmt;

const TOLERANCE_SECONDS: i64 = 300;
const MOST_CHARACTERS: usize = 4096;

/// A key is not `whsec_` or `whpk_` and standard base64.
#[derive(Debug)]
pub struct KeyError;

impl fmt::Display for KeyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a webhook key is whsec_ or whpk_ and standard base64")
    }
}

impl std::error::Error for KeyError {}

/// The three headers of a webhook; a missing one is empty.
pub struct WebhookHeaders<'a> {
    /// `webhook-id`.
    pub id: &'a str,
    /// `webhook-timestamp`.
    pub timestamp: &'a str,
    /// `webhook-signature`.
    pub signatures: &'a str,
}

/// Returns "accepted" or the refusal of a webhook: "header_missing", "header_invalid", "too_old", "too_new" or "signature_wrong".
///
/// `keys` are the `whsec_...` and `whpk_...` that you trust; during a rotation, the new and the old one. `body` is the
/// bytes as received, before any parsing. `now` is in seconds since 1970.
pub fn verify_webhook(
    keys: &[&str],
    headers: &WebhookHeaders<'_>,
    body: &[u8],
    now: i64,
) -> Result<&'static str, KeyError> {
    if headers.id.is_empty() || headers.timestamp.is_empty() || headers.signatures.is_empty() {
        return Ok("header_missing");
    }
    let Some(sent) = read_timestamp(headers.timestamp) else {
        return Ok("header_invalid");
    };
    if !is_webhook_id(headers.id) || headers.signatures.len() > MOST_CHARACTERS {
        return Ok("header_invalid");
    }
    if now - sent > TOLERANCE_SECONDS {
        return Ok("too_old");
    }
    if sent - now > TOLERANCE_SECONDS {
        return Ok("too_new");
    }
    let content = [
        format!("{}.{}.", headers.id, headers.timestamp).as_bytes(),
        body,
    ]
    .concat();
    for entry in headers.signatures.split(' ') {
        for key in keys {
            if matches(key, entry, &content)? {
                return Ok("accepted");
            }
        }
    }
    Ok("signature_wrong")
}

/// Returns whether a signature is a key's. A `whpk_` key never serves as a shared key: everybody may know it.
fn matches(key: &str, entry: &str, content: &[u8]) -> Result<bool, KeyError> {
    let Some((version, text)) = entry.split_once(',') else {
        return Ok(false);
    };
    let Ok(signed) = STANDARD.decode(text) else {
        return Ok(false);
    };
    let (form, encoded) = key.split_once('_').ok_or(KeyError)?;
    let raw = STANDARD.decode(encoded).map_err(|_| KeyError)?;
    Ok(match (form, version) {
        // `ring` compares in constant time.
        ("whsec", "v1") => {
            hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &raw), content, &signed).is_ok()
        }
        ("whpk", "v1a") => signature::UnparsedPublicKey::new(&signature::ED25519, raw)
            .verify(content, &signed)
            .is_ok(),
        _ => false,
    })
}

fn is_webhook_id(text: &str) -> bool {
    text.len() <= 128
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

fn read_timestamp(text: &str) -> Option<i64> {
    let is_plain = text.len() <= 12
        && !text.starts_with('0')
        && text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}
