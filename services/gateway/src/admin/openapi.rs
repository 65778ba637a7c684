//! The operators' API as OpenAPI 3.1, from the table of routes and the types of its bodies.

use std::borrow::Cow;

use ::keys::MAX_LIST;
use actix_web::http::Method;
use utoipa::ToSchema;
use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, PathItem, PathsBuilder, Ref, RefOr,
    Required, Response, ResponseBuilder, Schema,
};

use crate::admin::answers::Problem;
use crate::admin::routes::{Entry, Needs, ROUTES};

const KEY: &str = "adminKey";
type Named = (String, RefOr<Schema>);

/// The type of a body: its name, its schema, and what that refers to.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    name: fn() -> Cow<'static, str>,
    schema: fn() -> RefOr<Schema>,
    refers_to: fn(&mut Vec<Named>),
}

impl Shape {
    pub(super) const fn of<T: ToSchema>() -> Self {
        Self { name: T::name, schema: T::schema, refers_to: T::schemas }
    }

    fn reference(&self) -> Ref {
        Ref::from_schema_name((self.name)())
    }

    fn needs_a_field(&self) -> bool {
        matches!((self.schema)(), RefOr::T(Schema::Object(object)) if !object.required.is_empty())
    }

    fn add_to(&self, schemas: &mut Vec<Named>) {
        schemas.push(((self.name)().into_owned(), (self.schema)()));
        (self.refers_to)(schemas);
    }
}

/// The whole document.
pub(super) fn document() -> OpenApi {
    let problem = Shape::of::<Problem>();
    let mut schemas = Vec::new();
    let mut paths = PathsBuilder::new();
    problem.add_to(&mut schemas);
    for entry in ROUTES {
        paths = paths.path(entry.path, PathItem::new(method(&entry.method), operation(entry, problem)));
        entry.asks.iter().chain(&entry.answers).for_each(|shape| shape.add_to(&mut schemas));
    }
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("pck1_");
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .security_scheme(KEY, SecurityScheme::Http(scheme.description(Some("An admin key")).build()));
    let about =
        "What operators ask of a gateway, on a listener of its own. Times are milliseconds since the Unix epoch.";
    let info = InfoBuilder::new().title("Portcullis admin API").version(env!("CARGO_PKG_VERSION"));
    OpenApiBuilder::new().info(info.description(Some(about))).paths(paths).components(Some(components.build())).build()
}

fn method(method: &Method) -> HttpMethod {
    match *method {
        Method::POST => HttpMethod::Post,
        Method::PATCH => HttpMethod::Patch,
        _ => HttpMethod::Get,
    }
}

fn operation(entry: &Entry, problem: Shape) -> Operation {
    let needed = match entry.needs {
        Needs::Nothing => String::new(),
        Needs::AnyAdminKey => " Needs an admin key.".to_owned(),
        Needs::Act(act) => format!(" Needs {}.", act.as_str()),
    };
    let mut operation = OperationBuilder::new()
        .operation_id(Some(entry.name))
        .description(Some(format!("{}{needed}", entry.does)))
        .parameters(Some(parameters(entry)))
        .response("200", answer("Done", entry.answers));
    for (status, why) in refusals(entry) {
        operation = operation.response(status, refusal(problem, why));
    }
    if entry.needs != Needs::Nothing {
        operation = operation.security(SecurityRequirement::new(KEY, Vec::<String>::new()));
    }
    if let Some(asked) = entry.asks {
        let content = ContentBuilder::new().schema(Some(asked.reference())).build();
        // An empty body stands for `{}`.
        let required = if asked.needs_a_field() { Required::True } else { Required::False };
        let body = RequestBodyBuilder::new().content("application/json", content).required(Some(required));
        operation = operation.request_body(Some(body.build()));
    }
    operation.build()
}

fn answer(description: &str, shape: Option<Shape>) -> Response {
    let response = ResponseBuilder::new().description(description);
    match shape {
        None => response.build(),
        Some(shape) => {
            let content = ContentBuilder::new().schema(Some(shape.reference())).build();
            response.content("application/json", content).build()
        }
    }
}

/// How an operation may be refused: by status, as the codes of docs/errors.md have them.
fn refusals(entry: &Entry) -> Vec<(&'static str, &'static str)> {
    let (has_key, is_change) = (entry.needs != Needs::Nothing, entry.method != Method::GET);
    let all = [
        (true, "400", "Head, query, body or settings are not what is asked for"),
        (has_key, "401", "No admin key that holds"),
        (has_key, "403", "The key does not allow this"),
        (is_change || entry.path.contains("{id}"), "404", "No such key, tenant, model or request"),
        (true, "408", "Head or body take too long"),
        (is_change, "409", "It does not fit what is there"),
        (is_change, "413", "The body is too large"),
        (true, "415", "The body is packed"),
        (true, "421", "Another host is named"),
        (takes_word(entry), "422", "The idempotency key was used for another request"),
        (has_key, "429", "Too many failed attempts from this address"),
        (true, "431", "The head is too large"),
        (true, "500", "Something went wrong"),
        (true, "503", "A part is away: keys, the audit trail, or the gateway is stopping"),
    ];
    all.into_iter().filter(|(may_be, ..)| *may_be).map(|(_, status, why)| (status, why)).collect()
}

fn refusal(problem: Shape, why: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(problem.reference())).build();
    ResponseBuilder::new().description(why).content("application/problem+json", content).build()
}

/// Whether a word of the caller's own may say that a request is the same as before.
fn takes_word(entry: &Entry) -> bool {
    entry.name == "issueKey" || entry.name == "rotateKey"
}

fn parameters(entry: &Entry) -> Vec<Parameter> {
    let parameter = |name: &str, place: ParameterIn, description: &str, schema: ObjectBuilder| {
        let required = if place == ParameterIn::Path { Required::True } else { Required::False };
        ParameterBuilder::new()
            .name(name)
            .parameter_in(place)
            .required(required)
            .description(Some(description))
            .schema(Some(schema))
            .build()
    };
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let query = |name, description, schema| parameter(name, ParameterIn::Query, description, schema);
    let mut all = Vec::new();
    if entry.path.contains("{id}") {
        all.push(parameter("id", ParameterIn::Path, "Which", text()));
    }
    if entry.name == "listKeys" || entry.name == "listTenants" {
        let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(MAX_LIST));
        all.push(query("after", "Those after this one", text()));
        all.push(query("limit", "At most so many", number));
    }
    if entry.name == "listKeys" {
        all.push(query("tenant", "Those of this tenant", text()));
    }
    if takes_word(entry) {
        let description = "A word of the caller's own for this request: when it comes again within a day, the same key \
                           is the answer";
        let word = text().pattern(Some("^[!-~]{1,255}$"));
        all.push(parameter("Idempotency-Key", ParameterIn::Header, description, word));
    }
    all
}
