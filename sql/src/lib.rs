//! What a statement means: text to syntax tree and back.
