//! What a request asks, question by question: who counts them, or makes answers rougher, must know what each row of an
//! answer was given for, and nothing that does not change the answer.

use crate::json::Kind;
use crate::operation::Operation;
use crate::request::{Content, InferenceRequest, Origin};

/// What one row of an answer is given for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Question {
    /// Its numbers, in the order of the tensors. Integers beyond 2^53 are rounded.
    pub numbers: Vec<f64>,
    /// Its texts, one after the other.
    pub text: String,
}

/// The questions of a request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Questions {
    /// One for each element of the first dimension of the tensors that hold a row for each, one for each input to embed,
    /// and one in all for other requests.
    pub each: Vec<Question>,
    /// What else the answers depend on, in one form: version, names, types and parameters of tensors, outputs that are asked
    /// for, shapes, tensors that belong to every row. Of other requests all fields, but for those that say who asks and in
    /// which form.
    pub shared: Vec<u8>,
}

/// A request asks so many questions, more than the caller of [`InferenceRequest::questions`] takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} questions in one request")]
pub struct TooManyQuestions(pub u64);

impl InferenceRequest {
    /// What is asked. The `id` and the `user` of a request are no part of it. Costs a pass, eight bytes a number and a
    /// hundred a question.
    ///
    /// # Errors
    /// [`TooManyQuestions`] for more than `most`, before any is made.
    pub fn questions(&self, most: usize) -> Result<Questions, TooManyQuestions> {
        let mut questions = match &self.content {
            Content::Tensors(request) => request.questions(self.rules.spec.as_ref(), most)?,
            Content::Json(_) if self.operation() == Operation::Embed => self.embedded(),
            Content::Json(_) => {
                let said: Vec<_> = self.texts().filter(|text| !text.is_key()).collect();
                let said: Vec<_> =
                    said.iter().filter(|text| text.origin() != Origin::Other).map(|text| text.text()).collect();
                let question = Question { numbers: Vec::new(), text: said.join("\n") };
                Questions { each: vec![question], shared: self.fields_but(&[]) }
            }
        };
        questions.shared.push(0);
        questions.shared.extend_from_slice(self.version().unwrap_or_default().as_bytes());
        if questions.each.len() > most {
            return Err(TooManyQuestions(questions.each.len() as u64));
        }
        Ok(questions)
    }

    /// How many inputs a request for embeddings has.
    pub(crate) fn inputs(&self) -> usize {
        let Content::Json(json) = &self.content else { return 0 };
        match json.document.root().field("input") {
            Some(input) if input.kind() == Kind::Array => input.size(),
            _ => 1,
        }
    }

    fn embedded(&self) -> Questions {
        let Content::Json(json) = &self.content else { return Questions::default() };
        let root = json.document.root();
        let texts = self.texts().filter(|text| text.origin() == Origin::User && !text.is_key());
        let mut inputs: Vec<String> = texts.map(|text| text.text().into_owned()).collect();
        if inputs.is_empty() {
            // Numbers of tokens: a list of them, or of lists.
            let input = root.field("input");
            let lists = input.filter(|input| input.kind() == Kind::Array).map(|input| input.items().collect());
            let lists: Vec<_> = lists.unwrap_or_else(|| input.into_iter().collect());
            inputs =
                lists.iter().map(|list| list.raw().chars().filter(|char| !char.is_whitespace()).collect()).collect();
        }
        let each = inputs.into_iter().map(|text| Question { numbers: Vec::new(), text }).collect();
        Questions { each, shared: self.fields_but(&["input"]) }
    }

    /// The fields of a body as they were written, but for these and those that say who asks and in which form.
    fn fields_but(&self, left_out: &[&str]) -> Vec<u8> {
        const ASIDE: [&str; 8] = [
            "user",
            "safety_identifier",
            "prompt_cache_key",
            "metadata",
            "request_id",
            "encoding_format",
            "stream",
            "stream_options",
        ];
        let Content::Json(json) = &self.content else { return Vec::new() };
        let fields = json.document.root().fields().filter(|field| {
            let key = field.key();
            !ASIDE.contains(&&*key) && !left_out.contains(&&*key)
        });
        let mut written: Vec<(String, &str)> = fields.map(|field| (field.key().into_owned(), field.raw())).collect();
        // The order of fields changes nothing.
        written.sort_unstable();
        written.into_iter().flat_map(|(key, raw)| [key.as_bytes(), b":", raw.as_bytes(), b","].concat()).collect()
    }
}
