//! The fault matrix over a whole federation: agencies that lie, stall, die and
//! drain, callers that send nonsense, processes that cannot start or must stop.
//! All people are synthetic.

mod answers;
mod deadlines;
mod descriptors;
mod digests;
mod door;
mod forms;
mod hung;
mod lanes;
mod lies;
mod moved;
mod overload;
mod processes;
mod raw;
mod replicas;
mod requests;
mod slow_readers;
mod startup;
mod transient;
mod unread;
