//! What an accepted command must have changed, computed from the command and the world before it alone: an event that
//! says less, or more, than what was asked would otherwise be believed.

use ipam_ledger::domain::change::Change;
use ipam_ledger::domain::command::CommandBody;
use ipam_ledger::domain::id::ObjectId;

use super::world::World;

/// Whether [`as_asked`] has anything to say of such a command.
pub fn leaves_a_mark(body: &CommandBody) -> bool {
    matches!(
        body,
        CommandBody::ModifyIpam(_)
            | CommandBody::ModifyScope(_)
            | CommandBody::TagResource(_)
            | CommandBody::UntagResource(_)
    )
}

/// Operating regions, descriptions and tags are what the command makes of those before.
pub fn as_asked(before: &World, body: &CommandBody, after: &World) {
    let described = |id: ObjectId, change: &Change<String>| {
        let expected = change.clone().applied_to(before.description_of(id));
        assert_eq!(after.description_of(id), expected, "the description: {body:?}");
    };
    match body {
        CommandBody::ModifyIpam(body) => {
            let mut regions = before.ipam(body.ipam).expect("it was accepted").regions.clone();
            regions.extend(body.add_operating_regions.iter().cloned());
            regions.retain(|region| !body.remove_operating_regions.contains(region));
            assert_eq!(after.ipam(body.ipam).map(|ipam| &ipam.regions), Some(&regions), "the regions: {body:?}");
            described(body.ipam.into(), &body.description);
        }
        CommandBody::ModifyScope(body) => described(body.scope.into(), &body.description),
        CommandBody::TagResource(body) => {
            let mut tags = before.tags_of(body.resource);
            tags.extend(body.tags.clone());
            assert_eq!(after.tags_of(body.resource), tags, "the tags: {body:?}");
        }
        CommandBody::UntagResource(body) => {
            let mut tags = before.tags_of(body.resource);
            body.keys.iter().for_each(|key| drop(tags.remove(key)));
            assert_eq!(after.tags_of(body.resource), tags, "the tags: {body:?}");
        }
        _ => {}
    }
}
