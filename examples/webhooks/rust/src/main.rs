//! Verifies mailmesh's webhooks with the crates `ring` and `base64`: Rust's standard library has no cryptography.
//!
//! `verify` is all that a receiver needs. Run as a program, the file reads cases from its input, one a line; see
//! README.md.

use base64::{engine::general_purpose::STANDARD, Engine};
use ring::{hmac, signature};
use std::io::BufRead;

const TOLERANCE_SECONDS: i64 = 300;
const MOST_CHARACTERS: usize = 4096;

/// The three headers of a webhook; a missing one is empty.
pub struct Headers<'a> {
    pub id: &'a str,
    pub timestamp: &'a str,
    pub signatures: &'a str,
}

/// Returns the refusal of a webhook, or "accepted".
///
/// `keys` are the `whsec_...` and `whpk_...` that you trust; during a rotation, the new and the old one. `body` is the
/// bytes as received, before any parsing. `now` is in seconds since 1970.
pub fn verify(keys: &[&str], headers: &Headers, body: &[u8], now: i64) -> &'static str {
    if headers.id.is_empty() || headers.timestamp.is_empty() || headers.signatures.is_empty() {
        return "header_missing";
    }
    let Some(sent) = read_timestamp(headers.timestamp) else {
        return "header_invalid";
    };
    if !is_webhook_id(headers.id) || headers.signatures.len() > MOST_CHARACTERS {
        return "header_invalid";
    }
    if now - sent > TOLERANCE_SECONDS {
        return "too_old";
    }
    if sent - now > TOLERANCE_SECONDS {
        return "too_new";
    }
    let content = [
        format!("{}.{}.", headers.id, headers.timestamp).as_bytes(),
        body,
    ]
    .concat();
    let mut entries = headers.signatures.split(' ');
    if entries.any(|entry| keys.iter().any(|key| matches(key, entry, &content))) {
        "accepted"
    } else {
        "signature_wrong"
    }
}

/// Returns whether a signature is a key's. A `whpk_` key never serves as a shared key: everybody may know it.
fn matches(key: &str, entry: &str, content: &[u8]) -> bool {
    let Some((version, text)) = entry.split_once(',') else {
        return false;
    };
    let Ok(signed) = STANDARD.decode(text) else {
        return false;
    };
    let (form, encoded) = key.split_once('_').expect("a key is whsec_... or whpk_...");
    let raw = STANDARD
        .decode(encoded)
        .expect("a key ends in standard base64");
    match (form, version) {
        // `ring` compares in constant time.
        ("whsec", "v1") => {
            hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &raw), content, &signed).is_ok()
        }
        ("whpk", "v1a") => signature::UnparsedPublicKey::new(&signature::ED25519, raw)
            .verify(content, &signed)
            .is_ok(),
        _ => false,
    }
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

fn main() {
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("the input is UTF-8");
        let fields: Vec<&str> = line.split('\t').collect();
        let headers = Headers {
            id: fields[1],
            timestamp: fields[2],
            signatures: fields[3],
        };
        let keys: Vec<&str> = fields[5].split_whitespace().collect();
        let body = STANDARD.decode(fields[4]).expect("the body is base64");
        println!(
            "{}",
            verify(
                &keys,
                &headers,
                &body,
                fields[0].parse().expect("the time is a number")
            )
        );
    }
}
