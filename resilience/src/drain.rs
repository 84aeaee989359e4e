//! How fast work drains, and so how long whoever comes now would wait.
