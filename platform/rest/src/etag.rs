//! Entity tags, and changes that are conditional on them (RFC 9110, sections 8.8.3 and 13.1.1).

use std::{convert::Infallible, fmt::Write};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::problem::Problem;

/// Bytes of a digest in a tag.
const TAG_BYTES: usize = 16;

/// The tag of an item: it changes with every field, and is the same for all hosts that links may name.
pub fn of<T: Serialize>(item: &T) -> String {
    let digest = Sha256::digest(serde_json::to_vec(item).unwrap_or_default()); // Plain data cannot fail.
    let mut tag = String::from('"');
    for byte in digest.iter().take(TAG_BYTES) {
        let _ = write!(tag, "{byte:02x}"); // A string cannot fail.
    }
    tag + "\""
}

pub(crate) fn set<T: Serialize>(headers: &mut HeaderMap, item: &T) {
    if let Ok(tag) = HeaderValue::try_from(of(item)) {
        headers.insert(header::ETAG, tag);
    }
}

/// The items that a request wants to change, by their tags: any item without the header.
#[derive(Clone, Debug)]
pub struct IfMatch(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let values = parts.headers.get_all(header::IF_MATCH).iter();
        // What is no text is no tag of ours.
        let values: Vec<_> = values.map(|value| value.to_str().unwrap_or_default()).collect();
        Ok(Self((!values.is_empty()).then(|| values.join(","))))
    }
}

impl IfMatch {
    /// Refuses a request that is not meant for the item as it is now.
    pub fn check<T: Serialize>(&self, item: &T) -> Result<(), Problem> {
        let Some(tags) = &self.0 else { return Ok(()) };
        check(tags, &of(item))
    }

    /// The item that a change is meant for, for its commit to check that it is still the same. Without the header it is
    /// meant for any, and nothing is read.
    pub async fn expected<T>(
        &self,
        find: impl Future<Output = Result<T, Problem>>,
        tag: impl FnOnce(&T) -> String,
    ) -> Result<Option<T>, Problem> {
        let Some(tags) = &self.0 else { return Ok(None) };
        let known = find.await?;
        check(tags, &tag(&known))?;
        Ok(Some(known))
    }
}

fn check(tags: &str, tag: &str) -> Result<(), Problem> {
    let is_meant = tags.split(',').map(str::trim).any(|it| it == "*" || it == tag);
    if is_meant { Ok(()) } else { Err(failed()) }
}

/// 412: the item is not what the request was meant for.
pub fn failed() -> Problem {
    Problem::new(
        StatusCode::PRECONDITION_FAILED,
        "urn:anticorona:precondition-failed",
        "It was changed meanwhile",
    )
    .field("If-Match")
    .detail("read it again, and send its new ETag")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_met_by_the_tag_of_the_item_or_by_any_item() {
        let (item, other) = ([1], [2]);
        let meets = |tags: &str| IfMatch(Some(tags.to_owned())).check(&item).is_ok();
        assert!(meets(&of(&item)));
        assert!(meets(&format!("{}, {}", of(&other), of(&item))));
        assert!(meets("*"));
        assert!(IfMatch(None).check(&item).is_ok());
        assert!(!meets(&of(&other)));
        assert!(!meets(&format!("W/{}", of(&item))), "a weak tag never matches");
        assert!(!meets(""));
    }

    #[tokio::test]
    async fn an_item_is_read_only_for_a_request_that_has_a_condition() {
        let known = async || Ok([1]);
        let unread = async { panic!("it is read") };
        assert_eq!(IfMatch(None).expected(unread, |item: &[u8; 1]| of(item)).await, Ok(None));
        let meant = IfMatch(Some(of(&[1])));
        assert_eq!(meant.expected(known(), of).await, Ok(Some([1])));
        let stale = IfMatch(Some(of(&[2])));
        assert_eq!(stale.expected(known(), of).await, Err(failed()));
    }
}
