//! The main job, whole: a pipeline run gets a token and a secret for its run, and loses them when
//! the run changes.

mod run;
