//! Days: in the form that the mapping states, moments in the zone of the source.

use time::Date;

use crate::domain::dates::{DateForm, Written};
use crate::domain::zone::{Moment, Zone};
use crate::source::cell::{Cell, Unfit};

/// How a column writes days.
#[derive(Debug, Clone, Default)]
pub(in crate::source) struct Days {
    /// The form of what is not a day or a moment by itself.
    pub form: DateForm,
    /// In which zone a moment becomes a day.
    pub zone: Option<Zone>,
}

impl Days {
    /// The day that a cell says.
    pub fn read(&self, cell: Cell<'_>) -> Result<Date, Unfit> {
        match cell {
            Cell::Date(date) if date.year() > 0 => Ok(date),
            Cell::Date(_) => Err(Unfit::Date),
            Cell::Moment(moment) => self.of_moment(moment),
            Cell::Text(text) => self.written(self.form.text(text)),
            Cell::Integer(number) if self.form.is_counted() => {
                self.written(self.form.number(number))
            }
            Cell::Broken(reason) => Err(reason),
            Cell::Null => Err(Unfit::Empty),
            Cell::Bool(_) | Cell::Integer(_) | Cell::Real(_) | Cell::Decimal(_) | Cell::Other => {
                Err(Unfit::Kind)
            }
        }
    }

    fn written(&self, written: Option<Written>) -> Result<Date, Unfit> {
        match written.ok_or(Unfit::Date)? {
            Written::Day(day) => Ok(day),
            Written::Moment(moment) => self.of_moment(moment),
        }
    }

    fn of_moment(&self, moment: Moment) -> Result<Date, Unfit> {
        self.zone.as_ref().ok_or(Unfit::Zone)?.day(moment).ok_or(Unfit::Date)
    }
}
