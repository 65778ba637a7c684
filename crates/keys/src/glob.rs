//! Patterns over model names, where `*` stands for any run of characters, none included.

/// Whether the pattern matches the whole text. Case matters. At most pattern x text steps.
///
/// A pattern read as a text is matched exactly when everything it matches is matched too: only a
/// `*` of ours can take the `*` of the text, and then it takes whatever that stands for.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.as_bytes(), text.as_bytes());
    // After the last `*`: the rest of the pattern, and where its run may end next.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern.split_first(), text.split_first()) {
            (Some((b'*', rest)), _) => {
                pattern = rest;
                retry = Some((rest, text));
            }
            (Some((wanted, pattern_rest)), Some((found, text_rest))) if wanted == found => {
                (pattern, text) = (pattern_rest, text_rest);
            }
            (None, None) => return true,
            _ => match retry.and_then(|(rest, from)| Some((rest, from.split_first()?.1))) {
                Some(next) => {
                    (pattern, text) = next;
                    retry = Some(next);
                }
                None => return false,
            },
        }
    }
}
