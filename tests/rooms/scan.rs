//! Reads Rust as far as the rules need it: words and signs with their lines, without comments,
//! strings and lifetimes; the paths that begin with a given word; where the tests are.

/// A word, a sign, or `::`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    pub line: usize,
    /// Inside `#[cfg(test)] mod ... { }`.
    pub in_tests: bool,
}

/// A path that a file names, with its beginning resolved.
#[derive(Debug)]
pub struct Import {
    pub path: Vec<String>,
    /// The name by which a `use` makes the path known: its last part, or the one behind `as`.
    pub name: String,
    pub kind: ImportKind,
    pub line: usize,
    pub in_tests: bool,
}

/// The statement that a path stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportKind {
    /// `use`, for this file alone.
    Use,
    /// `pub use`, `pub(crate) use` and their like.
    ReExport,
    /// Any other code.
    Code,
}

/// A file, read.
pub struct Source {
    pub tokens: Vec<Token>,
    pub lines_without_tests: usize,
}

impl Source {
    pub fn read(text: &str) -> Self {
        let mut tokens = Lexer { chars: text.chars().collect(), at: 0, line: 1 }.tokens();
        let test_lines = mark_tests(&mut tokens);
        Self { tokens, lines_without_tests: text.lines().count() - test_lines }
    }

    /// The modules that this file declares, and that have a file of their own.
    pub fn declared_modules(&self) -> Vec<&str> {
        let declared = self.tokens.windows(3).filter_map(|tokens| match tokens {
            [word, name, end] if word.text == "mod" && end.text == ";" => Some(name.text.as_str()),
            _ => None,
        });
        declared.collect()
    }

    /// The lines where these words stand one after the other.
    pub fn lines_with(&self, words: &[&str]) -> Vec<usize> {
        let found = self.tokens.windows(words.len()).filter(|found| is_text(found, words));
        found.map(|found| found[0].line).collect()
    }

    /// The paths that begin with `start::`, spread out where they are written as a tree. `of_start`
    /// says what the word stands for in a module of this file, given by the names around it.
    pub fn paths(&self, start: &str, of_start: impl Fn(&[String]) -> Vec<String>) -> Vec<Import> {
        let mut found = Vec::new();
        let mut around: Vec<Option<String>> = Vec::new();
        for (at, token) in self.tokens.iter().enumerate() {
            match token.text.as_str() {
                "{" => around.push(self.module_opened_at(at)),
                "}" => drop(around.pop()),
                text if text == start && self.begins_a_path(at) => {
                    let inside: Vec<String> = around.iter().flatten().cloned().collect();
                    let (known, kind) = (found.len(), self.kind(at));
                    self.spread(at + 1, of_start(&inside), &mut found);
                    found[known..].iter_mut().for_each(|import| import.kind = kind);
                }
                _ => {}
            }
        }
        found
    }

    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| &token.text)
    }

    /// The statement of the path that begins at `at`.
    fn kind(&self, at: usize) -> ImportKind {
        match at {
            0 => ImportKind::Code,
            _ if self.text(at - 1) != "use" => ImportKind::Code,
            at if at > 1 && ["pub", ")"].contains(&self.text(at - 2)) => ImportKind::ReExport,
            _ => ImportKind::Use,
        }
    }

    fn module_opened_at(&self, brace: usize) -> Option<String> {
        (brace >= 2 && self.text(brace - 2) == "mod").then(|| self.text(brace - 1).to_owned())
    }

    fn begins_a_path(&self, at: usize) -> bool {
        let continues = at > 0 && self.text(at - 1) == "::";
        !continues && ["::", "as"].contains(&self.text(at + 1))
    }

    /// Adds the path that goes on at `at` behind `prefix`, and says where it ends.
    fn spread(&self, at: usize, mut prefix: Vec<String>, found: &mut Vec<Import>) -> usize {
        let mut at = at;
        while self.text(at) == "::" {
            at += 1;
            match self.text(at) {
                "{" => return self.spread_group(at + 1, prefix, found),
                "super" => drop(prefix.pop()),
                "self" => {}
                "<" | "" => break,
                name => prefix.push(name.to_owned()),
            }
            at += 1;
        }
        let Token { line, in_tests, .. } = self.tokens[at - 1];
        let alias = (self.text(at) == "as").then(|| self.text(at + 1));
        let name = alias.or(prefix.last().map(String::as_str)).unwrap_or_default().to_owned();
        found.push(Import { path: prefix, name, kind: ImportKind::Code, line, in_tests });
        at
    }

    fn spread_group(&self, at: usize, prefix: Vec<String>, found: &mut Vec<Import>) -> usize {
        let mut at = at;
        while at < self.tokens.len() && self.text(at) != "}" {
            let mut prefix = prefix.clone();
            match self.text(at) {
                "self" => {}
                name => prefix.push(name.to_owned()),
            }
            at = self.spread(at + 1, prefix, found);
            while ![",", "}", ""].contains(&self.text(at)) {
                at += 1;
            }
            at += usize::from(self.text(at) == ",");
        }
        at + 1
    }
}

fn is_text(tokens: &[Token], words: &[&str]) -> bool {
    tokens.len() >= words.len() && tokens.iter().zip(words).all(|(token, word)| token.text == *word)
}

/// Marks what stands in test modules, and counts their lines.
fn mark_tests(tokens: &mut [Token]) -> usize {
    let (mut at, mut lines) = (0, 0);
    while at < tokens.len() {
        if !is_text(&tokens[at..], &["#", "[", "cfg", "(", "test", ")", "]", "mod"]) {
            at += 1;
            continue;
        }
        let (start, end) = (at, end_of_block(tokens, at + 9));
        tokens[start..end].iter_mut().for_each(|token| token.in_tests = true);
        lines += tokens[end - 1].line - tokens[start].line + 1;
        at = end;
    }
    lines
}

/// The place behind the block that opens at `at`, or behind the `;` that stands there instead.
fn end_of_block(tokens: &[Token], at: usize) -> usize {
    let mut open = 0;
    for (place, token) in tokens.iter().enumerate().skip(at) {
        match token.text.as_str() {
            "{" => open += 1,
            "}" => open -= 1,
            _ => {}
        }
        if open == 0 {
            return place + 1;
        }
    }
    tokens.len()
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: usize,
}

impl Lexer {
    fn tokens(mut self) -> Vec<Token> {
        let mut tokens = Vec::new();
        while let Some(char) = self.peek(0) {
            let line = self.line;
            let text = match (char, self.peek(1)) {
                ('/', Some('/')) => self.skip_while(|char| char != '\n'),
                ('/', Some('*')) => self.skip_block_comment(),
                ('"', _) => self.skip_text('"'),
                ('\'', next) => self.skip_quote(next),
                (':', Some(':')) => self.take(2),
                (char, _) if is_word(char) => self.word(),
                (char, _) if char.is_whitespace() => self.skip_while(char::is_whitespace),
                _ => self.take(1),
            };
            if !text.is_empty() {
                tokens.push(Token { text, line, in_tests: false });
            }
        }
        tokens
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn take(&mut self, count: usize) -> String {
        let end = (self.at + count).min(self.chars.len());
        let text: String = self.chars[self.at..end].iter().collect();
        self.line += text.matches('\n').count();
        self.at = end;
        text
    }

    fn skip_while(&mut self, skipped: impl Fn(char) -> bool) -> String {
        while self.peek(0).is_some_and(&skipped) {
            self.take(1);
        }
        String::new()
    }

    fn skip_block_comment(&mut self) -> String {
        let mut open = 0;
        while self.at < self.chars.len() {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => open += 1,
                (Some('*'), Some('/')) => open -= 1,
                _ => {
                    self.take(1);
                    continue;
                }
            }
            self.take(2);
            if open == 0 {
                break;
            }
        }
        String::new()
    }

    fn skip_text(&mut self, quote: char) -> String {
        self.take(1);
        while let Some(char) = self.peek(0) {
            self.take(if char == '\\' { 2 } else { 1 });
            if char == quote {
                break;
            }
        }
        String::new()
    }

    /// A character, or a lifetime.
    fn skip_quote(&mut self, next: Option<char>) -> String {
        if next == Some('\\') || self.peek(2) == Some('\'') {
            return self.skip_text('\'');
        }
        self.take(1);
        self.skip_while(is_word)
    }

    /// A word; or what only begins like one, a raw string or a raw name.
    fn word(&mut self) -> String {
        let length = self.chars[self.at..].iter().take_while(|char| is_word(**char)).count();
        let word = self.take(length);
        if !["r", "br", "cr"].contains(&word.as_str()) {
            return word;
        }
        let hashes = self.chars[self.at..].iter().take_while(|char| **char == '#').count();
        if self.peek(hashes) == Some('"') {
            return self.skip_raw_text(hashes);
        }
        self.take(hashes);
        if hashes == 0 { word } else { String::new() }
    }

    fn skip_raw_text(&mut self, hashes: usize) -> String {
        self.take(hashes + 1);
        let end: Vec<char> = format!("\"{}", "#".repeat(hashes)).chars().collect();
        while self.at < self.chars.len() && !self.chars[self.at..].starts_with(&end) {
            self.take(1);
        }
        self.take(end.len());
        String::new()
    }
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}
