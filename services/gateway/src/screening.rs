//! From settings to what happens to the texts of requests and answers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use core_validate::ModelName;
use keys::FamilyId;
use pipeline::{CleanTexts, Judge, Model, Planted, ScreenException, ScreenRules, Screening, TextDigest};
use sanitize::{
    Action, BuildError, ControlTokens, Detector, Injection, Links, Mode, PANIC_RULE, Personal, Repetition, Rule,
    Sanitizer, SanitizerBuilder, Score, Secrets,
};

use crate::config::{
    DisclosureSettings, InputSettings, InvalidSettings, JudgeOutage, KeptText, OutputSettings, Reaction,
    ScreeningSettings, Settings, nearest,
};
use crate::judge::HttpJudge;
use crate::protected::{self, ProtectedTexts};

/// The shortest secret that words are made from, in bytes.
const MIN_SECRET: usize = 16;

/// Builds the screening that the settings describe.
///
/// # Errors
/// [`InvalidSettings`] for the first setting that cannot be used.
pub(crate) fn screening(
    settings: &Settings,
    models: &BTreeMap<ModelName, Arc<Model>>,
) -> Result<Screening, InvalidSettings> {
    let all = &settings.screening;
    let broken = |error: BuildError| InvalidSettings::new("screening", error.to_string());
    let injection = Arc::new(Injection::new().map_err(broken)?);
    let score = Score::new().map_err(broken)?;
    let bodies = settings.models.values().filter_map(|model| model.max_body_bytes);
    let whole = bodies.fold(settings.limits.max_string_bytes.max(settings.limits.max_body_bytes), usize::max);
    let protected = RefCell::default();
    let (judge, canary) = (judge(all)?, canary(all)?);
    let parts = Parts { injection, score, judge, canary, whole, disclosure: &settings.disclosure, protected };
    let rules = parts.rules("screening", &all.input, &all.output)?;
    let mut exceptions = Vec::with_capacity(all.exceptions.len());
    for (at, exception) in all.exceptions.iter().enumerate() {
        let at = format!("screening.exceptions[{at}]");
        let (input, output) = exception.over(all, &at)?;
        let families = exception.keys.iter().map(|key| {
            key.parse::<FamilyId>().map_err(|error| InvalidSettings::new(format!("{at}.keys"), error.to_string()))
        });
        let names = exception.models.iter().map(|name| {
            let known = models.keys().find(|known| known.as_str() == name).cloned();
            known.ok_or_else(|| {
                let near = nearest(name, models.keys().map(ModelName::as_str));
                InvalidSettings::new(format!("{at}.models"), format!("there is no model {name}{near}"))
            })
        });
        exceptions.push(ScreenException {
            tenants: exception.tenants.clone(),
            families: families.collect::<Result<_, _>>()?,
            models: names.collect::<Result<_, _>>()?,
            rules: Arc::new(parts.rules(&at, &input, &output)?),
        });
    }
    let audit = Sanitizer::builder().detector(Secrets::new(), Action::Redact).placeholder("[redacted]");
    Ok(Screening {
        rules: Arc::new(rules),
        exceptions,
        audit: build("audit", audit)?,
        keep_text: settings.audit.text == KeptText::Redacted,
    })
}

/// What all rules are made of.
struct Parts<'s> {
    injection: Arc<Injection>,
    score: Score,
    judge: Option<Judge>,
    canary: Option<Arc<[u8]>>,
    /// The longest text of a request.
    whole: usize,
    disclosure: &'s DisclosureSettings,
    /// Files of protected texts that were read.
    protected: RefCell<BTreeMap<PathBuf, ProtectedTexts>>,
}

impl Parts<'_> {
    fn rules(&self, at: &str, input: &InputSettings, output: &OutputSettings) -> Result<ScreenRules, InvalidSettings> {
        let trusted = input.trusted_texts.iter().map(|digest| {
            let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
            let wrong = || InvalidSettings::new(format!("{at}.input.trusted_texts"), "expected sha256: and 64 digits");
            TextDigest::parse(hex).ok_or_else(wrong)
        });
        Ok(ScreenRules {
            input: self.input(&format!("{at}.input"), input)?,
            output: self.output(&format!("{at}.output"), output)?,
            clean: CleanTexts::new(input.remembered_texts),
            restores: output.restore,
            trusted: trusted.collect::<Result<_, _>>()?,
            prompt_leak: reacting(output.prompt_leak),
            canary: self.planted(&format!("{at}.output.canary"), output.canary)?,
            judge: self.judge.clone(),
        })
    }

    fn input(&self, at: &str, settings: &InputSettings) -> Result<Sanitizer, InvalidSettings> {
        let mut builder = excepted(at, &settings.rules, self.known())?.max_bytes(self.whole);
        // `SYSTEM: Ubuntu` is an honest line of a bug report, so headers in requests are recorded only.
        if settings.control_tokens != Reaction::Off {
            builder = builder.observe(ControlTokens::headers_only(), Action::Block);
        }
        let score = self.score(at, settings.score_threshold)?;
        let adding = Adding { builder, named: &settings.rules }
            .add(ControlTokens::tokens_only(), settings.control_tokens, ControlTokens::rules())
            .add(Arc::clone(&self.injection), settings.injection, self.injection.rules().iter().map(Rule::id))
            .add(score, settings.score, ["score.ngram"].into_iter())
            .add(Secrets::new(), settings.secrets, Secrets::rules())
            .add(Personal::new(), settings.personal, Personal::rules())
            .add(Repetition::new(), settings.repetition, ["repetition.run"].into_iter());
        build(at, adding.builder)
    }

    fn output(&self, at: &str, settings: &OutputSettings) -> Result<Sanitizer, InvalidSettings> {
        if settings.max_bytes == 0 {
            return Err(InvalidSettings::new(format!("{at}.max_bytes"), "expected a number of 1 or more"));
        }
        let builder = excepted(at, &settings.rules, self.known())?.max_bytes(settings.max_bytes);
        let mut adding = Adding { builder, named: &settings.rules }
            .add(ControlTokens::new(), settings.control_tokens, ControlTokens::rules())
            .add(Arc::clone(&self.injection), settings.injection, self.injection.rules().iter().map(Rule::id))
            .add(Secrets::new(), settings.secrets, Secrets::rules())
            .add(Personal::new(), settings.personal, Personal::rules())
            .add(Links::new(&settings.link_hosts), settings.links, Links::rules())
            .add(Repetition::new(), settings.repetition, ["repetition.run"].into_iter());
        if settings.protected != Reaction::Off {
            let texts = self.protected(&format!("{at}.protected_file"), &settings.protected_file)?;
            adding = adding.add(texts, settings.protected, [protected::RULE].into_iter());
        }
        build(at, adding.builder)
    }

    fn score(&self, at: &str, threshold: f32) -> Result<Score, InvalidSettings> {
        match threshold {
            0.0 => Ok(self.score.clone()),
            threshold if threshold > 0.0 && threshold < 1.0 => Ok(self.score.clone().with_threshold(threshold)),
            _ => Err(InvalidSettings::new(format!("{at}.score_threshold"), "expected 0, or a number below 1")),
        }
    }

    /// A large file is read once, whoever names it.
    fn protected(&self, at: &str, file: &Path) -> Result<ProtectedTexts, InvalidSettings> {
        if let Some(known) = self.protected.borrow().get(file) {
            return Ok(known.clone());
        }
        let read = ProtectedTexts::read(at, file, self.disclosure)?;
        self.protected.borrow_mut().insert(file.to_owned(), read.clone());
        Ok(read)
    }

    fn known(&self) -> Vec<&str> {
        let injection = self.injection.rules().iter().map(Rule::id);
        let own = ControlTokens::rules().chain(Secrets::rules()).chain(Personal::rules()).chain(Links::rules());
        let per_request =
            ["canary", "leak.system_prompt", "repetition.run", "score.ngram", protected::RULE, PANIC_RULE];
        injection.chain(own).chain(per_request).collect()
    }

    fn planted(&self, at: &str, reaction: Reaction) -> Result<Option<Planted>, InvalidSettings> {
        match (&self.canary, reacting(reaction)) {
            (Some(secret), Some((action, mode))) => Ok(Some(Planted { secret: secret.clone(), action, mode })),
            (None, Some(_)) => Err(InvalidSettings::new(at, "words are planted only with a screening.canary.secret")),
            (_, None) => Ok(None),
        }
    }
}

/// A builder that treats single rules as the settings say.
fn excepted(
    at: &str,
    rules: &BTreeMap<String, Reaction>,
    known: Vec<&str>,
) -> Result<SanitizerBuilder, InvalidSettings> {
    let mut builder = Sanitizer::builder().placeholder("[redacted]").numbered_placeholders();
    for (rule, reaction) in rules {
        if !known.contains(&rule.as_str()) {
            let near = nearest(rule, known.iter().copied());
            return Err(InvalidSettings::new(format!("{at}.rules"), format!("there is no rule {rule}{near}")));
        }
        builder = match (rule.as_str(), reacting(*reaction)) {
            (PANIC_RULE, Some((Action::Redact, _))) => {
                let problem = format!("{PANIC_RULE}: expected one of block, observe, off");
                return Err(InvalidSettings::new(format!("{at}.rules"), problem));
            }
            (PANIC_RULE, Some((Action::Block, Mode::Enforce))) => builder.on_panic(Action::Block),
            // It is noted in either case.
            (PANIC_RULE, _) => builder.on_panic(Action::Allow),
            (_, Some((action, mode))) => builder.rule(rule, action, mode),
            (_, None) => builder.without_rule(rule),
        };
    }
    Ok(builder)
}

/// A builder for one direction, and which rules the settings name.
struct Adding<'s> {
    builder: SanitizerBuilder,
    named: &'s BTreeMap<String, Reaction>,
}

impl Adding<'_> {
    /// Adds a detector with these rules. One that is off runs for the rules that are named.
    fn add<'r>(
        mut self,
        detector: impl Detector + 'static,
        reaction: Reaction,
        rules: impl Iterator<Item = &'r str>,
    ) -> Self {
        self.builder = match reacting(reaction) {
            Some((action, Mode::Observe)) => self.builder.observe(detector, action),
            Some((action, _)) => self.builder.detector(detector, action),
            None => {
                let (named, others): (Vec<&str>, Vec<&str>) = rules.partition(|rule| self.named.contains_key(*rule));
                if named.is_empty() {
                    return self;
                }
                let builder = others.into_iter().fold(self.builder, SanitizerBuilder::without_rule);
                builder.observe(detector, Action::Block)
            }
        };
        self
    }
}

fn reacting(reaction: Reaction) -> Option<(Action, Mode)> {
    match reaction {
        Reaction::Block => Some((Action::Block, Mode::Enforce)),
        Reaction::Redact => Some((Action::Redact, Mode::Enforce)),
        Reaction::Observe => Some((Action::Block, Mode::Observe)),
        Reaction::Off => None,
    }
}

fn build(at: &str, builder: SanitizerBuilder) -> Result<Sanitizer, InvalidSettings> {
    builder.build().map_err(|error| InvalidSettings::new(at, error.to_string()))
}

fn canary(settings: &ScreeningSettings) -> Result<Option<Arc<[u8]>>, InvalidSettings> {
    let secret = settings.canary.secret.or_file("screening.canary.secret", &settings.canary.secret_file)?;
    match secret {
        Some(secret) if secret.len() < MIN_SECRET => {
            let problem = format!("expected at least {MIN_SECRET} bytes");
            Err(InvalidSettings::new("screening.canary.secret", problem))
        }
        secret => Ok(secret.map(|secret| Arc::from(secret.as_bytes()))),
    }
}

fn judge(settings: &ScreeningSettings) -> Result<Option<Judge>, InvalidSettings> {
    let judge = &settings.judge;
    if judge.url.is_empty() {
        return Ok(None);
    }
    let mode = match judge.reaction {
        Reaction::Block => Mode::Enforce,
        Reaction::Observe => Mode::Observe,
        Reaction::Off => return Ok(None),
        Reaction::Redact => {
            return Err(InvalidSettings::new("screening.judge.reaction", "expected one of block, observe, off"));
        }
    };
    let deadline = Duration::from_millis(judge.deadline_milliseconds);
    Ok(Some(Judge {
        classifier: Arc::new(HttpJudge::new(judge, deadline)?),
        deadline,
        mode,
        lets_pass: judge.on_outage == JudgeOutage::Pass,
        max_bytes: judge.max_bytes,
    }))
}
