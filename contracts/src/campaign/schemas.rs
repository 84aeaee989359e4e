//! How OpenAPI describes texts, and the fields of one type within another.

use std::marker::PhantomData;

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{ObjectBuilder, Schema, Type},
    },
};

/// Texts without control characters, and with other characters than spaces.
const TEXT: &str =
    r"[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*";

macro_rules! texts {
    ($($(#[$doc:meta])+ $name:ident = $lengths:expr;)+) => {$(
        $(#[$doc])+
        #[derive(Clone, Copy, Debug)]
        pub(super) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                text($lengths)
            }
        }

        impl ToSchema for $name {}
    )+};
}

texts! {
    /// 1 to 16 characters.
    PostalCode = [1, 16];
    /// 1 to 100 characters.
    Text100 = [1, 100];
    /// 1 to 200 characters.
    Text200 = [1, 200];
    /// 1 to 500 characters.
    Text500 = [1, 500];
    /// Up to 500 characters.
    OptionalText = [0, 500];
}

fn text([min, max]: [usize; 2]) -> RefOr<Schema> {
    let pattern = if min == 0 { format!("^({TEXT})?$") } else { format!("^{TEXT}$") };
    let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern));
    RefOr::T(text.min_length(Some(min)).max_length(Some(max)).into())
}

/// The fields of a `T` beside others: its own schema would refuse those.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<T>(PhantomData<T>);

impl<T: ToSchema> PartialSchema for Fields<T> {
    fn schema() -> RefOr<Schema> {
        let RefOr::T(Schema::Object(mut fields)) = T::schema() else { return T::schema() };
        fields.additional_properties = None;
        RefOr::T(fields.into())
    }
}

impl<T: ToSchema> ToSchema for Fields<T> {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        T::schemas(schemas);
    }
}
