//! What is compared, and what may be deleted: decisions on values.

use crate::engine::model::checkpoint::Checkpoint;
use crate::engine::model::shape::Shape;
use crate::engine::plan::window;

/// The greatest cursor that the target has reached: the kept one, or the watermark that waits to be
/// kept, up to which everything visible was applied. None where everything is compared.
pub fn settled_to(shape: &Shape, checkpoint: Option<&Checkpoint>) -> Option<String> {
    shape.cursor.column()?;
    let reached = &window::usable(shape, checkpoint)?.reached;
    let pending = reached.pending.as_ref().map(|pending| &pending.watermark);
    reached.kept.as_ref().or(pending).map(|value| value.as_str().to_owned())
}
