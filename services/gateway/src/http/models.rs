//! Requests that ask no model: what there is, whether it is ready.

use actix_web::{HttpRequest, HttpResponse};
use core_validate::{ModelName, Operation, TensorSpec};
use pipeline::{About, Code, Model, Rejection, Step};
use serde_json::{Value, json};

use crate::edge::head;
use crate::http::routes::Route;
use crate::http::{Shared, Target, limits, render};

/// The callers' API, for programs.
const DOCUMENT: &str = include_str!("openapi.json");

/// The Open Inference Protocol's probes: whether this server answers. They say nothing of models.
pub(super) fn health(about: &About) -> HttpResponse {
    render::json(about.request_id(), &json!({}))
}

/// Answers for an authenticated caller; what it may not use does not exist for it.
pub(super) async fn list(
    shared: &Shared,
    request: &HttpRequest,
    mut about: About,
    route: Route,
) -> Result<HttpResponse, Rejection> {
    let presented = head::presented_key(request.headers());
    let principal = shared.pipeline.authenticate(&mut about, presented).await?;
    let policy = shared.pipeline.policy();
    let scopes = principal.scopes();
    let find = |name: &ModelName| policy.model_for(scopes, name).cloned();
    let missing = |about| shared.pipeline.refuse(about, Step::Admit, Code::ModelNotFound);
    let body = match route {
        Route::Models => {
            let models: Vec<Value> = policy.models_for(scopes).map(|model| openai(model)).collect();
            json!({"object": "list", "data": models})
        }
        Route::Model(name) => match find(&name) {
            Some(model) => openai(&model),
            None => return Err(missing(about)),
        },
        Route::Describe => return Ok(render::text_for(&principal, about.request_id(), DOCUMENT)),
        Route::Limits => return limits::show(shared, about, &principal).await,
        Route::ServerMetadata => {
            json!({"name": "portcullis", "version": "2", "extensions": ["binary_tensor_data"]})
        }
        Route::ModelMetadata(target) => match target.model.as_ref().and_then(find) {
            Some(model) if model.operations().contains(&Operation::Infer) => {
                shared.pipeline.spend_one(&about, &principal).await?;
                metadata(&model, &target).await
            }
            _ => return Err(missing(about)),
        },
        Route::ModelReady(target) => match target.model.as_ref().and_then(find) {
            Some(model) => {
                shared.pipeline.spend_one(&about, &principal).await?;
                if !model.is_ready().await {
                    return Err(shared.pipeline.refuse(about, Step::Infer, Code::BackendUnavailable));
                }
                json!({})
            }
            None => return Err(missing(about)),
        },
        Route::Infer(..) | Route::Health => return Err(shared.pipeline.refuse(about, Step::Accept, Code::Internal)),
    };
    Ok(render::json_for(&principal, about.request_id(), &body))
}

fn openai(model: &Model) -> Value {
    json!({"id": model.name().as_str(), "object": "model", "created": model.created(), "owned_by": "portcullis"})
}

/// What requests and answers are held to, else what the server says of the tensors.
async fn metadata(model: &Model, target: &Target) -> Value {
    let version = target.version.clone().unwrap_or_else(|| "1".to_owned());
    let described = model.describe().await.unwrap_or_default();
    let tensors = |tensors: &[backend::TensorDescription]| -> Vec<Value> {
        tensors
            .iter()
            .map(|tensor| json!({"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}))
            .collect()
    };
    let specified = |tensors: &[(String, TensorSpec)]| -> Vec<Value> {
        let tensor = |(name, spec): &(String, TensorSpec)| json!({"name": name, "datatype": spec.dtype().as_str(), "shape": spec.shape()});
        tensors.iter().map(tensor).collect()
    };
    let rules = model.rules();
    let inputs = rules.tensors().map_or_else(|| tensors(&described.inputs), |spec| specified(spec.inputs()));
    let outputs = rules.tensors().map(|spec| specified(spec.outputs())).filter(|outputs| !outputs.is_empty());
    json!({
        "name": model.name().as_str(), "versions": [version], "platform": "portcullis",
        "inputs": inputs, "outputs": outputs.unwrap_or_else(|| tensors(&described.outputs)),
    })
}
