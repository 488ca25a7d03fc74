//! The checks of one volume.

use super::name;
use crate::config::document::Located;
use crate::config::finding::{Code, Findings};

pub(super) fn check(volume: &Located<'_>, findings: &mut Findings<'_>) {
    name(volume, findings);
    let fields = volume.value.as_object().into_iter().flatten();
    let sources = fields.filter(|(field, value)| *field != "name" && !value.is_null());
    let sources: Vec<&str> = sources.map(|(field, _)| field.as_str()).collect();
    if sources.len() > 1 {
        let message = format!(
            "has several sources ({}); a volume may have only one",
            sources.join(" and ")
        );
        findings.add(Code::VolumeSources, volume.path.clone(), message);
    }
}
