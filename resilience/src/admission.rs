//! Admission: who gets in now, who waits a moment, and who is told to come back.
