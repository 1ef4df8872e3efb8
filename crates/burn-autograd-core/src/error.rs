use std::borrow::Cow;

/// What kind of expectation was not met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A shape does not fit.
    Shape,
    /// A data type does not fit, or the device cannot compute with it.
    DType,
    /// Tensors live on different devices.
    Device,
    /// A value, of a parameter or of an element, is not allowed, or not in the domain, as a singular
    /// matrix.
    Value,
    /// A [`Function`](crate::Function) or [`Rule`](crate::Rule) broke its contract.
    Contract,
    /// A derivative was asked for that does not exist.
    Derivative,
}

/// A refused argument: the operation, the argument, what was expected and what came.
///
/// The tensor functions panic with this text, as Burn's own do; their `try_` forms return it.
///
/// ```
/// use burn_autograd_core::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Shape, "multiply_add", "b", "a shape like [2, 3]", "[4, 3]");
/// assert_eq!(
///     error.to_string(),
///     "multiply_add: argument `b`: expected a shape like [2, 3], got [4, 3]"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: argument `{argument}`: expected {expected}, got {got}")]
pub struct Error {
    kind: ErrorKind,
    operation: Cow<'static, str>,
    argument: Cow<'static, str>,
    expected: String,
    got: String,
}

impl Error {
    /// An error of `operation` about `argument`.
    pub fn new(
        kind: ErrorKind,
        operation: impl Into<Cow<'static, str>>,
        argument: impl Into<Cow<'static, str>>,
        expected: impl Into<String>,
        got: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            operation: operation.into(),
            argument: argument.into(),
            expected: expected.into(),
            got: got.into(),
        }
    }

    /// The second derivative of a function that has only one.
    pub(crate) fn once_differentiable(name: Cow<'static, str>) -> Self {
        Self::new(
            ErrorKind::Derivative,
            name,
            "once_differentiable",
            "one derivative, as the function declares",
            "a derivative of its gradient",
        )
    }

    /// Panics with this error, naming the function in whose body it came up.
    #[track_caller]
    pub(crate) fn raise(mut self) -> ! {
        if !self.operation.contains(" (in the ")
            && let Some(operation) = crate::scope::describe(&self.operation)
        {
            self.operation = operation.into();
        }
        crate::scope::raise(self)
    }

    /// What kind of expectation was not met.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The operation that refused.
    pub fn operation(&self) -> &str {
        &self.operation
    }

    /// The argument that did not fit.
    pub fn argument(&self) -> &str {
        &self.argument
    }

    /// What was expected.
    pub fn expected(&self) -> &str {
        &self.expected
    }

    /// What came instead.
    pub fn got(&self) -> &str {
        &self.got
    }
}

/// The value, or a panic with the error: at the caller's line, unlike `unwrap_or_else` with a closure.
///
/// In a `try_` form of this library, the error is what that form returns.
pub trait OrPanic {
    /// What there is without an error.
    type Value;

    /// The value.
    ///
    /// # Panics
    ///
    /// With the text of the error.
    fn or_panic(self) -> Self::Value;
}

impl<T> OrPanic for Result<T, Error> {
    type Value = T;

    #[track_caller]
    fn or_panic(self) -> T {
        match self {
            Ok(value) => value,
            Err(error) => error.raise(),
        }
    }
}
