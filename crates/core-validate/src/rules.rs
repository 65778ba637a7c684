//! What holds for one model: its limits and its tensors.

use crate::limits::Limits;
use crate::oip::ModelSpec;

/// What requests to one model must keep to.
#[derive(Debug, Clone, Default)]
pub struct ModelRules {
    pub(crate) limits: Limits,
    pub(crate) spec: Option<ModelSpec>,
}

impl ModelRules {
    /// Only these limits.
    pub fn new(limits: Limits) -> Self {
        Self { limits, spec: None }
    }

    /// These tensors, too.
    #[must_use]
    pub fn spec(mut self, spec: ModelSpec) -> Self {
        self.spec = Some(spec);
        self
    }

    /// The same limits with other tensors, or none.
    #[must_use]
    pub fn with_tensors(&self, spec: Option<ModelSpec>) -> Self {
        Self { limits: self.limits.clone(), spec }
    }

    /// The tensors, when they are known.
    pub fn tensors(&self) -> Option<&ModelSpec> {
        self.spec.as_ref()
    }
}
