//! Reads the small languages of the query string, and writes names and values as SQL.

/// An identifier, quoted.
pub fn name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A literal whose type the database finds out, as the real one leaves it to it.
pub fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        return format!("E'{}'", quoted.replace('\\', "\\\\"));
    }
    format!("'{quoted}'")
}

/// The literal of an array of texts.
pub fn array_literal(items: &[String]) -> String {
    let items =
        items.iter().map(|item| format!("\"{}\"", item.replace('\\', "\\\\").replace('"', "\\\"")));
    literal(&format!("{{{}}}", items.collect::<Vec<_>>().join(",")))
}

/// Walks over a text from its beginning.
pub struct Scanner<'a> {
    /// The text that is still to be read.
    pub rest: &'a str,
}

impl<'a> Scanner<'a> {
    /// Begins at the beginning.
    pub fn new(rest: &'a str) -> Self {
        Self { rest }
    }

    /// The next character.
    pub fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    /// Steps over a text that stands next.
    pub fn eat(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Takes characters as long as they are of a kind.
    pub fn take_while(&mut self, is_kind: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|next| !is_kind(next)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// Takes a text in double quotes, in which a backslash escapes; none where there is none.
    pub fn quoted(&mut self) -> Option<String> {
        let mut chars = self.rest.strip_prefix('"')?.char_indices();
        let mut text = String::new();
        while let Some((at, next)) = chars.next() {
            match next {
                '"' => {
                    self.rest = &self.rest[at + 2..];
                    return Some(text);
                }
                '\\' => text.push(chars.next()?.1),
                next => text.push(next),
            }
        }
        None
    }

    /// Takes the name of a column: in quotes, or letters, digits, `_`, `$`, spaces and dashes.
    pub fn name(&mut self) -> Option<String> {
        if self.peek() == Some('"') {
            return self.quoted();
        }
        let mut end = 0;
        for (at, next) in self.rest.char_indices() {
            let is_arrow = self.rest[at..].starts_with("->");
            if !(next.is_alphanumeric() || "_$ -".contains(next)) || is_arrow {
                break;
            }
            end = at + next.len_utf8();
        }
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        let taken = taken.trim();
        (!taken.is_empty()).then(|| taken.to_owned())
    }
}
