//! The audit log, from record to proof: hardening rows 34, 36 to 40, and whatever
//! an enemy with a disk editor can do.

mod bucket;
mod command;
mod crash;
mod disclosed;
mod faults;
mod full_queue;
mod hostile;
mod independent;
mod index;
mod load;
mod mirror;
mod panics;
mod pruning;
mod reconciled;
mod record;
mod recovery;
mod rotated;
mod sealing;
mod second;
mod sides;
mod size;
mod support;
mod tamper;
mod turn;
