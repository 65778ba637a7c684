//! The bounds that hold before anything is believed.

/// Bounds on one request. `Default` is safe for a gateway on the open network.
#[non_exhaustive]
#[derive(Debug, Clone)]
pub struct Limits {
    pub(crate) depth: usize,
    pub(crate) values: usize,
    pub(crate) key_bytes: usize,
    pub(crate) string_bytes: usize,
    pub(crate) messages: usize,
    pub(crate) choices: u32,
    pub(crate) tensors: usize,
    pub(crate) rank: usize,
    pub(crate) elements: u64,
    pub(crate) allow_fields: Vec<String>,
    pub(crate) remote_media: bool,
    pub(crate) token_prompts: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 32,
            values: 131_072,
            key_bytes: 256,
            string_bytes: 4 << 20,
            messages: 1_024,
            choices: 8,
            tensors: 64,
            rank: 8,
            elements: 4 << 20,
            allow_fields: Vec::new(),
            remote_media: false,
            token_prompts: false,
        }
    }
}

impl Limits {
    /// Deepest nesting of JSON values. Default 32, never above 100.
    #[must_use]
    pub fn depth(mut self, levels: usize) -> Self {
        self.depth = levels.clamp(1, 100);
        self
    }

    /// Most JSON values in one body, tensor data apart. Default 131072.
    #[must_use]
    pub fn values(mut self, count: usize) -> Self {
        self.values = count;
        self
    }

    /// Longest string in bytes. Default 4 MiB.
    #[must_use]
    pub fn string_bytes(mut self, bytes: usize) -> Self {
        self.string_bytes = bytes;
        self
    }

    /// Most messages in a chat. Default 1024.
    #[must_use]
    pub fn messages(mut self, count: usize) -> Self {
        self.messages = count;
        self
    }

    /// Most answers for one prompt (`n`, `best_of`). Default 8.
    #[must_use]
    pub fn choices(mut self, count: u32) -> Self {
        self.choices = count.max(1);
        self
    }

    /// Most elements in one tensor. Default 4194304.
    #[must_use]
    pub fn elements(mut self, count: u64) -> Self {
        self.elements = count;
        self
    }

    /// Request fields that are passed on although this crate does not know them. Every string in
    /// them counts as a text. Default none.
    #[must_use]
    pub fn allow_fields(mut self, names: Vec<String>) -> Self {
        self.allow_fields = names;
        self
    }

    /// Lets a request name media by `http` address: the model server will fetch what a caller
    /// tells it to fetch. Default off; `data:` addresses always work.
    #[must_use]
    pub fn danger_remote_media(mut self, allowed: bool) -> Self {
        self.remote_media = allowed;
        self
    }

    /// Lets prompts be token numbers, which no text screening can read. Default off.
    #[must_use]
    pub fn danger_token_prompts(mut self, allowed: bool) -> Self {
        self.token_prompts = allowed;
        self
    }
}
