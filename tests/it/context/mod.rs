//! Context: what cannot be asked decides nothing, what is hinted is read again, and what is over
//! takes with it exactly what stood on it.

mod coalesce;
mod endings;
mod hints;
mod outage;
mod signatures;
