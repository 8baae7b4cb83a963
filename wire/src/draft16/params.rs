//! Message Parameters (§9.2.2): one table, from which the struct, its reader and its writer are made.

use std::time::Duration;

use super::form::{self, Form, Given};
use crate::buf::{Reader, Writer};
use crate::error::{DecodeError, EncodeError, Fault};
use crate::list::{KeyValue, Keys, Pairs, Rest, push, write_pairs};
use crate::model::{AuthorizationToken, GroupOrder, Location, SubscriptionFilter};

/// The messages that carry parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    Subscribe,
    SubscribeOk,
    Publish,
    PublishOk,
    RequestUpdate,
    Fetch,
    FetchOk,
    RequestOk,
    TrackStatus,
    PublishNamespace,
    SubscribeNamespace,
}

/// Where the values of a parameter go: one at most, or any number.
trait Slot<T> {
    /// Keeps a value, unless there is one already and no room for a second. `more` tells how many follow.
    fn keep(&mut self, value: T, more: impl FnOnce() -> usize) -> bool;
}

impl<T> Slot<T> for Option<T> {
    #[inline]
    fn keep(&mut self, value: T, _: impl FnOnce() -> usize) -> bool {
        self.replace(value).is_none()
    }
}

impl<T> Slot<T> for Vec<T> {
    fn keep(&mut self, value: T, more: impl FnOnce() -> usize) -> bool {
        push(self, value, more);
        true
    }
}

macro_rules! parameters {
    ($($key:literal $name:literal $field:ident: $slot:ty = $form:ident, in $($carrier:ident)|+;)*) => {
        /// The parameters of one message.
        #[derive(Debug, Default)]
        pub(super) struct Params {
            $(pub(super) $field: $slot,)*
        }

        /// What a parameter is called.
        const fn name(key: u64) -> Option<&'static str> {
            match key {
                $($key => Some($name),)*
                _ => None,
            }
        }

        impl Params {
            /// Takes a pair in. A parameter that its message does not define is ignored (§9.2.2), an unknown one is
            /// a violation (§9.2).
            fn take(&mut self, on: Carrier, given: &Given<'_>, rest: Rest<'_, '_>) -> Result<(), DecodeError> {
                match given.pair.key {
                    $($key => {
                        if !matches!(on, $(Carrier::$carrier)|+) {
                            return misplaced(on, given);
                        }
                        match self.$field.keep(form::$form::read(given)?, || rest.count(|key| key == $key)) {
                            true => Ok(()),
                            false => Err(given.error(Fault::Invalid("the parameter may appear only once"))),
                        }
                    })*
                    unknown => Err(DecodeError::new("Parameter Type", Fault::Unknown(unknown), given.offset)),
                }
            }

            /// The pairs, in ascending order of their types.
            fn pairs(&self) -> Result<Vec<KeyValue>, EncodeError> {
                let mut pairs = Vec::new();
                $(for value in self.$field.iter() {
                    pairs.push(KeyValue { key: $key, value: form::$form::write(value, $name)? });
                })*
                Ok(pairs)
            }
        }
    };
}

parameters! {
    0x02 "DELIVERY_TIMEOUT" delivery_timeout: Option<Duration> = Timeout,
        in Subscribe | PublishOk | RequestUpdate;
    0x03 "AUTHORIZATION_TOKEN" tokens: Vec<AuthorizationToken> = Token,
        in Subscribe | Publish | RequestUpdate | Fetch | TrackStatus | PublishNamespace | SubscribeNamespace;
    // The draft leaves REQUEST_OK to be done; it says what SUBSCRIBE_OK would (§9.19).
    0x08 "EXPIRES" expires: Option<Duration> = Milliseconds,
        in SubscribeOk | Publish | PublishOk | RequestOk;
    0x09 "LARGEST_OBJECT" largest: Option<Location> = Largest,
        in SubscribeOk | Publish | RequestOk;
    0x10 "FORWARD" forward: Option<bool> = Flag,
        in Subscribe | Publish | PublishOk | RequestUpdate | SubscribeNamespace;
    0x20 "SUBSCRIBER_PRIORITY" subscriber_priority: Option<u8> = Priority,
        in Subscribe | PublishOk | RequestUpdate | Fetch;
    0x21 "SUBSCRIPTION_FILTER" filter: Option<SubscriptionFilter> = Filter,
        in Subscribe | PublishOk | RequestUpdate;
    0x22 "GROUP_ORDER" group_order: Option<GroupOrder> = Order,
        in Subscribe | PublishOk | Fetch;
    0x32 "NEW_GROUP_REQUEST" new_group_request: Option<u64> = Number,
        in Subscribe | PublishOk | RequestUpdate;
}

impl Params {
    /// Number of Parameters, and that many (§9.2).
    pub(super) fn decode(r: &mut Reader<'_>, on: Carrier) -> Result<Self, DecodeError> {
        let mut params = Self::default();
        let mut pairs = Pairs::new(Keys::Delta);
        for left in (0..r.varint("Number of Parameters")?).rev() {
            let given = form::pair(&mut pairs, r, name, "Parameters")?;
            params.take(on, &given, Rest { pairs: &pairs, r, left })?;
        }
        Ok(params)
    }

    pub(super) fn encode(&self, w: &mut Writer) -> Result<(), EncodeError> {
        let mut pairs = self.pairs()?;
        w.varint(pairs.len() as u64, "Number of Parameters")?;
        write_pairs(w, Keys::Delta, &mut pairs, "Parameters")
    }

    /// EXPIRES, where 0 says as much as none (§9.2.2.6).
    pub(super) fn expiry(&self) -> Option<Duration> {
        self.expires.filter(|expires| !expires.is_zero())
    }
}

/// EXPIRES for an expiry, which the wire cannot say to be at once (§9.2.2.6).
pub(super) fn expires(expiry: Option<Duration>) -> Result<Option<Duration>, EncodeError> {
    match expiry {
        Some(expiry) if expiry.as_millis() == 0 => Err(EncodeError::Inexpressible("EXPIRES")),
        _ => Ok(expiry),
    }
}

/// A known parameter where it is not defined: ignored (§9.2.2), but in REQUEST_UPDATE invalid for every kind of request
/// (§9.11).
fn misplaced(on: Carrier, given: &Given<'_>) -> Result<(), DecodeError> {
    match on {
        Carrier::RequestUpdate => {
            Err(given.error(Fault::Invalid("no kind of request can have this parameter updated")))
        }
        _ => Ok(()),
    }
}
