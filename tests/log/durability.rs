//! What lasts: a gateway and an agency, each killed, given bad disks, or put on a
//! log that is not the one that its peers have seen. All people are synthetic.

mod acknowledged;
mod clock;
mod counts;
mod disk;
mod kills;
mod mirrored;
mod points;
mod ready;
mod restored;
mod town;
mod withheld;
mod witness;
