//! Tries a page and its halves in one call. A part that is refused is listed with its refusal, and
//! does not end the transaction. Only the accepted parts stay in the script. So a failed attempt
//! runs once, and its refusal, which may name a time, is not compared with that of a second run.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::answer::{RawAnswer, RefusedBody};
use super::step::Parts;
use super::{Answer, Listener, Script, ScriptStatement, Slot, State, Step, unreadable};
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql::refusal::Refused;
use crate::adapters::postgres::sql::statement::Gives;

/// A part that was tried.
pub struct Part {
    /// The positions of the part's first and last row.
    pub range: (usize, usize),
    /// The answer of the part's last statement, or the refusal of the part.
    pub outcome: Result<Answer, Box<Refused>>,
}

impl Script {
    /// Runs statements for parts of a page, which are members of a JSON array. Returns the outcome
    /// of each part that was tried, in the order of the page.
    pub async fn in_parts(&self, parts: Parts, page: Bytes) -> Result<Vec<Part>, PostgresError> {
        let step = Step { parts: Some(parts.clone()), ..Step::new(String::new(), Gives::Json) };
        let slot = self.write(step, Some(page), Listener::Somebody);
        let Answer::Json(answer) = self.answer_of(&slot).await? else {
            return Err(unreadable("the parts of a page"));
        };
        let answers: Vec<PartAnswer> = serde_json::from_slice::<Vec<&RawValue>>(&answer)
            .ok()
            .and_then(|parts| {
                parts.into_iter().map(|part| PartAnswer::read(&answer, part)).collect()
            })
            .ok_or_else(|| unreadable("the parts of a page"))?;
        let Some(last) = parts.steps.last() else { return Ok(Vec::new()) };
        let read = |part: &PartAnswer| match &part.outcome {
            Ok(answer) => Ok(Part { range: part.range, outcome: Ok(last.read(answer)?) }),
            Err(refused) => Ok(Part { range: part.range, outcome: Err(refused.clone()) }),
        };
        let read = answers.iter().map(read).collect::<Result<_, PostgresError>>()?;
        let accepted: Vec<PartAnswer> =
            answers.into_iter().filter(|part| part.outcome.is_ok()).collect();
        self.state().keep_parts(&slot, parts, &accepted);
        Ok(read)
    }
}

/// The function's answer about one part.
struct PartAnswer {
    range: (usize, usize),
    outcome: Result<RawAnswer, Box<Refused>>,
    json: String,
}

impl PartAnswer {
    /// `[first, last, answer]`, or `[first, last, null, refusal]`.
    fn read(answer: &Bytes, text: &RawValue) -> Option<Self> {
        let json = text.get().to_owned();
        let members: Vec<&RawValue> = serde_json::from_str(text.get()).ok()?;
        let number = |at: usize| members.get(at).and_then(|part| part.get().parse().ok());
        let range = (number(0)?, number(1)?);
        let outcome = match (members.get(2), members.get(3)) {
            (Some(given), None) => Ok(RawAnswer::within(answer, given)),
            (_, Some(refused)) => {
                let refused: RefusedBody = serde_json::from_str(refused.get()).ok()?;
                Err(Box::new(refused.into_model()))
            }
            (None, None) => return None,
        };
        Some(Self { range, outcome, json })
    }
}

impl State {
    /// Replaces the statement that tried all parts by one for the accepted parts, with its answer.
    fn keep_parts(&mut self, slot: &Slot, parts: Parts, accepted: &[PartAnswer]) {
        let is_it = |statement: &ScriptStatement| std::sync::Arc::ptr_eq(&statement.answer, slot);
        let Some(at) = self.statements.iter().position(is_it) else { return };
        let tried = self.statements.remove(at);
        if accepted.is_empty() {
            return;
        }
        let ranges = accepted.iter().map(|part| part.range).collect();
        let kept = Parts { ranges, halving: None, ..parts };
        let step = Step { parts: Some(kept), ..(*tried.step).clone() };
        let kept = ScriptStatement::of(step, tried.page, Listener::Nobody);
        let json: Vec<&str> = accepted.iter().map(|part| part.json.as_str()).collect();
        kept.first.get_or_init(|| RawAnswer::made(format!("[{}]", json.join(","))));
        self.statements.insert(at, kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_a_part_is_its_answer_or_its_refusal() {
        let refusal = "{\"code\":\"23514\",\"message\":\"no\",\"detail\":null}";
        for (text, expected) in [
            ("[1,500,[{\"n\":1}]]".to_owned(), Some(((1, 500), None))),
            (format!("[7,7,null,{refusal}]"), Some(((7, 7), Some("23514".to_owned())))),
            ("[1,500]".to_owned(), None),
            ("[1,null,3]".to_owned(), None),
            ("[1,2,null,3]".to_owned(), None),
            ("{}".to_owned(), None),
        ] {
            let whole = Bytes::from(text.clone());
            let text: &RawValue = serde_json::from_slice(&whole).expect("it is JSON");
            let code = |refused: Box<Refused>| refused.code.code().to_owned();
            let read = PartAnswer::read(&whole, text)
                .map(|part| (part.range, part.outcome.err().map(code)));
            assert_eq!(read, expected, "{text}");
        }
    }
}
