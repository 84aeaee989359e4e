//! Which of several endpoints is asked: the less busy of two that chance picks.
