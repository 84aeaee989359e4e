//! A parameter, encoded when its statement is enqueued.

use bytes::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::error::Cause;

/// A parameter as it is sent; `None` is NULL.
#[derive(Debug)]
pub(super) struct Encoded(Option<BytesMut>);

impl Encoded {
    pub(super) fn of(param: &impl ToSql, r#type: &Type) -> Result<Self, Cause> {
        let mut bytes = BytesMut::new();
        Ok(match param.to_sql_checked(r#type, &mut bytes)? {
            IsNull::Yes => Self(None),
            IsNull::No => Self(Some(bytes)),
        })
    }
}

impl ToSql for Encoded {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Cause> {
        let Some(bytes) = &self.0 else { return Ok(IsNull::Yes) };
        out.extend_from_slice(bytes);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}
