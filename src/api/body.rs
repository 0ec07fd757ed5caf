//! Reading a request's body within its bounds of bytes and time.

use std::error::Error;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::problem::{Problem, shortened};

/// Reads all of a body.
///
/// # Errors
/// When it is larger than `bytes_max`, takes longer than `time_max`, or ends early.
pub async fn read(body: Body, headers: &HeaderMap, bytes_max: usize, time_max: Duration) -> Result<Bytes, Problem> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|bytes| bytes > bytes_max) {
        return Err(too_large(bytes_max));
    }
    match tokio::time::timeout(time_max, Limited::new(body, bytes_max).collect()).await {
        Err(_) => {
            let detail = format!("the body did not arrive within {} s", time_max.as_secs());
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "BodyTimeout", detail))
        }
        Ok(Err(error)) if is_too_large(error.as_ref()) => Err(too_large(bytes_max)),
        Ok(Err(error)) => Err(Problem::malformed(format!("the body cannot be read to its end: {error}"))),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
    }
}

fn is_too_large(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

pub fn too_large(bytes_max: usize) -> Problem {
    let detail = format!("the body is larger than {bytes_max} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "BodyTooLarge", detail).try_instead("bytes_max", bytes_max)
}

/// Refuses what is not announced as `media_type`. A web page of another origin can send the types of
/// HTML forms to a server on loopback without being asked, but not this one.
///
/// # Errors
/// When `Content-Type` is absent or another.
pub fn expect_media_type(headers: &HeaderMap, media_type: &str) -> Result<(), Problem> {
    let sent = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = sent.split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case(media_type) {
        return Ok(());
    }
    let detail = if sent.is_empty() {
        format!("the request has no Content-Type; send {media_type}")
    } else {
        format!("the Content-Type is {}; send {media_type}", shortened(sent))
    };
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", detail)
        .try_instead("content_type", media_type))
}
