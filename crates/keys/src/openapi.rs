//! Schemas (OpenAPI 3.1) of what is written as text or as a list, for those who show it in an API.

use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::id::{FamilyId, KeyId};
use crate::limits::Rate;
use crate::networks::Networks;
use crate::scopes::{AdminScopes, AdminWire};
use crate::tenant::Tenant;

fn text(description: &str, pattern: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description)).pattern(Some(pattern))
}

macro_rules! texts {
    ($($name:ident $pattern:literal $description:literal)*) => {$(
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                text($description, $pattern).into()
            }
        }

        impl ToSchema for $name {}
    )*};
}

texts! {
    KeyId "^pck1_[0-9A-Za-z]{16}$" "The public part of a key"
    FamilyId "^[0-9A-Za-z]{16}$" "A key and everything it was rotated into"
    Rate "^[0-9]+/(second|minute|hour|day|total)( burst [0-9]+)?$" "So many per window, such as `5/second burst 10`"
    Tenant "^[0-9A-Za-z_.-]{1,64}$" "Whose key it is"
}

impl PartialSchema for Networks {
    fn schema() -> RefOr<Schema> {
        let network = ObjectBuilder::new().schema_type(Type::String).examples(["192.0.2.0/24", "2001:db8::/32"]);
        let description = "Networks in CIDR notation; none means anywhere";
        ArrayBuilder::new().items(network).max_items(Some(Self::MAX)).description(Some(description)).into()
    }
}

impl ToSchema for Networks {}

impl PartialSchema for AdminScopes {
    fn schema() -> RefOr<Schema> {
        AdminWire::schema()
    }
}

impl ToSchema for AdminScopes {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        AdminWire::schemas(schemas);
    }
}
