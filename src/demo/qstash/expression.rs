//! The arithmetic of `Upstash-Retry-Delay`: `pow(2, retried) * 1000` and the like, in milliseconds.

use super::Millis;

/// Computes the delay before the next attempt after `retried` retries.
pub fn evaluate(text: &str, retried: u32) -> Result<Millis, String> {
    let mut reader = Reader { rest: text, retried: f64::from(retried), depth: 0 };
    let value = reader.sum()?;
    match reader.rest.trim_start() {
        "" if value.is_finite() => Ok(value.max(0.0) as Millis),
        "" => Err(format!("{text} is not a number")),
        rest => Err(format!("unexpected {rest}")),
    }
}

/// The deepest nesting of brackets: enough for any real expression, and no stack is exhausted.
const DEEPEST: u8 = 32;

struct Reader<'a> {
    rest: &'a str,
    retried: f64,
    depth: u8,
}

impl<'a> Reader<'a> {
    fn sum(&mut self) -> Result<f64, String> {
        let mut value = self.product()?;
        loop {
            if self.take('+') {
                value += self.product()?;
            } else if self.take('-') {
                value -= self.product()?;
            } else {
                return Ok(value);
            }
        }
    }

    fn product(&mut self) -> Result<f64, String> {
        let mut value = self.factor()?;
        loop {
            if self.take('*') {
                value *= self.factor()?;
            } else if self.take('/') {
                value /= self.factor()?;
            } else if self.take('%') {
                value %= self.factor()?;
            } else {
                return Ok(value);
            }
        }
    }

    fn factor(&mut self) -> Result<f64, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("nested too deeply".to_owned());
        }
        let value = if self.take('-') {
            -self.factor()?
        } else if self.take('(') {
            let value = self.sum()?;
            self.expect(')')?;
            value
        } else {
            self.word()?
        };
        self.depth -= 1;
        Ok(value)
    }

    /// Reads a number, the variable, or a call of a function.
    fn word(&mut self) -> Result<f64, String> {
        let rest = self.rest.trim_start();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        self.rest = after;
        if word.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return word.parse().map_err(|_| format!("{word} is not a number"));
        }
        match word {
            "" => Err("a number is missing".to_owned()),
            "retried" => Ok(self.retried),
            name => self.call(name),
        }
    }

    fn call(&mut self, name: &str) -> Result<f64, String> {
        self.expect('(')?;
        let mut arguments = vec![self.sum()?];
        while self.take(',') {
            arguments.push(self.sum()?);
        }
        self.expect(')')?;
        match (name, arguments.as_slice()) {
            ("pow", [base, power]) => Ok(base.powf(*power)),
            ("exp", [x]) => Ok(x.exp()),
            ("sqrt", [x]) => Ok(x.sqrt()),
            ("abs", [x]) => Ok(x.abs()),
            ("floor", [x]) => Ok(x.floor()),
            ("ceil", [x]) => Ok(x.ceil()),
            ("round", [x]) => Ok(x.round()),
            ("min", [a, b]) => Ok(a.min(*b)),
            ("max", [a, b]) => Ok(a.max(*b)),
            _ => Err(format!("there is no function {name} of {} values", arguments.len())),
        }
    }

    fn take(&mut self, sign: char) -> bool {
        let after = self.rest.trim_start().strip_prefix(sign);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn expect(&mut self, sign: char) -> Result<(), String> {
        self.take(sign).then_some(()).ok_or_else(|| format!("{sign} is missing"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_gives_milliseconds() {
        let cases = [
            ("1000", 0, 1000),
            ("1000 * (1 + retried)", 2, 3000),
            ("pow(2, retried) * 1000", 3, 8000),
            ("min(pow(2,retried)*1000, 5000)", 10, 5000),
            ("max(100, 10 - 2 - 3)", 0, 100),
            ("10 - 2 - 3", 0, 5),
            ("round(exp(2.5)) * 1000", 0, 12_000),
            ("floor(7 / 2) + ceil(7 / 2) + 7 % 4", 0, 10),
            ("sqrt(abs(-16)) * 500", 0, 2000),
            ("-5", 0, 0),
        ];
        for (text, retried, expected) in cases {
            assert_eq!(evaluate(text, retried), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_expression_is_told() {
        let deep = format!("{}1{}", "(".repeat(100), ")".repeat(100));
        for text in ["", "1 +", "1 2", "pow(2)", "retry", "(1", "1/0", "system(1)", "1..2", &deep] {
            assert!(evaluate(text, 0).is_err(), "{text}");
        }
    }
}
