//! What an object's extension headers say of the groups and objects just before it (draft-14 §11, draft-16 §11).

use crate::draft::Draft;
use crate::error::EncodeError;
use crate::list::Value;
use crate::model::{Extensions, Location, extension};

/// How many groups and objects just before an object do not exist, as far as it says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// Prior Group ID Gap.
    pub groups: Option<u64>,
    /// Prior Object ID Gap.
    pub objects: Option<u64>,
}

impl Gaps {
    /// Reads the gaps that the object at `location` states, within immutable extensions too.
    ///
    /// # Errors
    /// The rule that makes the track malformed: a gap stated twice or larger than the ID (draft-14 §11.1, §11.3; draft-16
    /// §11.3, §11.4), or immutable extensions that are nested or cannot be read (§11.2 of both).
    #[inline]
    pub fn read(location: Location, extensions: &Extensions) -> Result<Self, &'static str> {
        match extensions.is_empty() {
            true => Ok(Self::default()),
            false => Self::read_some(location, extensions),
        }
    }

    fn read_some(location: Location, extensions: &Extensions) -> Result<Self, &'static str> {
        let mut gaps = Self::default();
        for pair in extensions {
            match (pair.key, pair.value) {
                (extension::IMMUTABLE_EXTENSIONS, Value::Bytes(list)) => {
                    let list = extensions.nested(&list).map_err(|_| "immutable extensions cannot be read")?;
                    for pair in &list {
                        if pair.key == extension::IMMUTABLE_EXTENSIONS {
                            return Err("immutable extensions are nested");
                        }
                        gaps.take(pair.key, &pair.value)?;
                    }
                }
                (key, value) => gaps.take(key, &value)?,
            }
        }
        if gaps.groups > Some(location.group) {
            return Err("Prior Group ID Gap is larger than the Group ID");
        }
        if gaps.objects > Some(location.object) {
            return Err("Prior Object ID Gap is larger than the Object ID");
        }
        Ok(gaps)
    }

    fn take(&mut self, key: u64, value: &Value) -> Result<(), &'static str> {
        match (key, value) {
            (extension::PRIOR_GROUP_ID_GAP, Value::Integer(count)) => match self.groups.replace(*count) {
                Some(_) => Err("Prior Group ID Gap is stated twice in one object"),
                None => Ok(()),
            },
            (extension::PRIOR_OBJECT_ID_GAP, Value::Integer(count)) => match self.objects.replace(*count) {
                Some(_) => Err("Prior Object ID Gap is stated twice in one object"),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Whether the groups that do not exist, just before that of `location`, include `group`.
    pub const fn covers_group(&self, location: Location, group: u64) -> bool {
        covers(self.groups, location.group, group)
    }

    /// Whether the objects that do not exist, just before `location` in its group, include `object`.
    pub const fn covers_object(&self, location: Location, object: u64) -> bool {
        covers(self.objects, location.object, object)
    }
}

/// Refuses extension headers that a publisher may not send with the object at `location`: those that make the track
/// malformed by themselves, and Immutable Extensions stated twice where the draft forbids it (draft-16 §11.2).
///
/// # Errors
/// [`EncodeError::Inexpressible`].
#[inline]
pub fn check_sent(draft: &dyn Draft, location: Location, extensions: &Extensions) -> Result<(), EncodeError> {
    match extensions.is_empty() {
        true => Ok(()),
        false => check_some_sent(draft, location, extensions),
    }
}

fn check_some_sent(
    draft: &dyn Draft,
    location: Location,
    extensions: &Extensions,
) -> Result<(), EncodeError> {
    let immutable = extensions.iter().filter(|pair| pair.key == extension::IMMUTABLE_EXTENSIONS).count();
    if immutable > 1 && draft.rules().immutable_extensions_once {
        return Err(EncodeError::Inexpressible("second Immutable Extensions of an object"));
    }
    let read = Gaps::read(location, extensions);
    read.map(drop).map_err(|_| EncodeError::Inexpressible("extension headers that make the track malformed"))
}

const fn covers(gap: Option<u64>, id: u64, other: u64) -> bool {
    match gap {
        Some(gap) => other < id && id - other <= gap,
        None => false,
    }
}
