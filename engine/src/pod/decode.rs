//! The JSON of API objects, decoded as far as anybody asks: texts, objects of raw values, bounded
//! lists.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A string of the input, borrowed where it holds no escape.
///
/// Go's encoder writes `<`, `>` and `&` as escapes, so any string may need an owned copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

impl std::ops::Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

/// A JSON object of which only the keys are decoded; each value stays a slice of the input.
#[derive(Debug, Clone, Default)]
pub struct Object<'a> {
    fields: Vec<(Text<'a>, &'a RawValue)>,
}

impl<'a> Object<'a> {
    /// The raw value of `key`; `null` counts as absent. Of a repeated key the last counts, as in
    /// Go's decoder.
    pub fn get(&self, key: &str) -> Option<&'a RawValue> {
        let (_, raw) = self.fields.iter().rev().find(|(name, _)| &**name == key)?;
        (raw.get() != "null").then_some(raw)
    }

    /// How many entries there are, repeated keys included.
    pub(crate) fn len(&self) -> usize {
        self.fields.len()
    }

    /// The keys and raw values in the order of the input.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.fields.iter().map(|(name, raw)| (&**name, *raw))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;
        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Object<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                // Not reserved ahead: a body of many empty objects must not cost many times its
                // size.
                let mut fields = Vec::new();
                while let Some(entry) = map.next_entry::<Text<'de>, &'de RawValue>()? {
                    fields.push(entry);
                }
                Ok(Object { fields })
            }
        }
        deserializer.deserialize_map(ObjectVisitor)
    }
}

/// Reads a `T` from an object alone. What serde derives also takes a list of the fields' values,
/// which is not an API object: it would be decided on here, and no patch could apply to it.
pub fn from_object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    struct ObjectVisitor<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_map(ObjectVisitor(PhantomData))
}

/// As [`from_object`]; `null` is absent.
pub fn from_object_or_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    struct OptionVisitor<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for OptionVisitor<T> {
        type Value = Option<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_none<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_some<D: Deserializer<'de>>(
            self,
            deserializer: D,
        ) -> Result<Self::Value, D::Error> {
            from_object(deserializer).map(Some)
        }
    }
    deserializer.deserialize_option(OptionVisitor(PhantomData))
}

/// Implements [`Deserialize`] by [`from_object`] for what derives it with `remote = "Self"`, which
/// leaves that to be done.
///
/// So each type is strict by itself, whatever decodes it. A deserializer that does not take lists
/// for objects would have to wrap every map, list, option and newtype that it hands out, and hold
/// only for those who remember to use it.
macro_rules! from_object_alone {
    ($($name:ident),+) => {$(
        impl<'de: 'a, 'a> serde::Deserialize<'de> for $name<'a> {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Derived<'a>($name<'a>);
                impl<'de: 'a, 'a> serde::Deserialize<'de> for Derived<'a> {
                    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                        $name::deserialize(deserializer).map(Derived)
                    }
                }
                $crate::pod::from_object(deserializer).map(|Derived(read)| read)
            }
        }
    )+};
}
pub(crate) use from_object_alone;

/// More items than any pod has; a list beyond that is refused, as each item costs more here than in
/// the body.
pub(super) const MAX_ITEMS: usize = 10_000;

/// A list of at most [`MAX_ITEMS`].
#[derive(Debug)]
pub struct List<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
            type Value = List<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    if list.len() == MAX_ITEMS {
                        return Err(Error::custom(format_args!(
                            "has more than {MAX_ITEMS} items"
                        )));
                    }
                    list.push(item);
                }
                Ok(List(list))
            }
        }
        deserializer.deserialize_seq(ListVisitor(PhantomData))
    }
}
