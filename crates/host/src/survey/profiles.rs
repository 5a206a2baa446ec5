//! What is known about the image of a service: its profile, found by the image's configuration, or named by the operator.

use mainstay_core::image::ImageConfig;
use mainstay_core::plan::ServiceProfile;
use mainstay_core::profiles::{self, Known, Profile, Refusal};

use super::{ContainerFacts, ServiceFacts, Survey};
use crate::engine::Engine;
use crate::images::{self, Reference};

/// Which profile a service is to have.
#[derive(Clone, Copy, Debug, Default)]
pub enum ProfileWish {
    /// The one that its image is recognised by.
    #[default]
    Detected,
    /// None.
    Nothing,
    /// This one.
    Named(&'static Profile),
}

/// What is known about a service's image.
#[derive(Clone, Debug)]
pub struct ProfileFacts {
    /// The profile.
    pub profile: &'static Profile,
    /// What it was recognised by; `None` where the operator named it.
    pub by: Option<String>,
    /// What the image brings along.
    pub image: ImageConfig,
    /// The image as the container's configuration names it.
    pub reference: String,
    /// Whether it is relied on: the service is ready, as the profile asks, or the operator named it.
    pub in_force: bool,
    /// Whether the operator says what is run before or after a backup.
    pub own_hooks: bool,
}

impl ProfileFacts {
    /// Why the service can't go on with another image on the same data, if that is known.
    #[must_use]
    pub fn refusal(&self, to: &str) -> Option<Refusal> {
        refusal(self.profile, self.by.is_none(), (&self.reference, &self.image), (to, None))
    }

    /// As a plan has it.
    #[must_use]
    pub fn planned(&self, survey: &Survey, service: &str) -> ServiceProfile {
        ServiceProfile {
            name: self.profile.name.to_owned(),
            recognised_by: self.by.clone(),
            version: self.profile.signs.version(&self.image).map(|version| version.to_string()),
            in_force: self.in_force,
            keeps_data: survey.keeps_data(service),
        }
    }
}

/// Why one image can't be exchanged for another one on the same data: references, and what the images bring along.
pub(crate) fn refusal(
    profile: &'static Profile,
    named: bool,
    from: (&str, &ImageConfig),
    to: (&str, Option<&ImageConfig>),
) -> Option<Refusal> {
    // An image that is named by its id alone has neither repository nor tag.
    let (old, new) = (Reference::parse(from.0).ok(), Reference::parse(to.0).ok());
    let repository =
        |reference: Option<&Reference>| reference.map(Reference::repository).unwrap_or_default().to_owned();
    let (was, becomes) = (repository(old.as_ref()), repository(new.as_ref()));
    let from = Known {
        repository: &was,
        tag: old.as_ref().and_then(Reference::effective_tag),
        config: Some(from.1),
    };
    let to =
        Known { repository: &becomes, tag: new.as_ref().and_then(Reference::effective_tag), config: to.1 };
    profiles::exchange(profile, named, from, to)
}

/// The profile of a service, not yet known to be in force. `None` where there is none, or the image is gone.
pub(crate) async fn recognise(
    engine: &Engine,
    facts: &ServiceFacts,
    wish: ProfileWish,
    own_hooks: bool,
) -> Option<ProfileFacts> {
    let first = facts.containers.first()?;
    let image = images::inspect(engine.docker(), &first.image_id).await.ok()?;
    let (profile, by) = match wish {
        ProfileWish::Nothing => return None,
        ProfileWish::Named(profile) => (profile, None),
        ProfileWish::Detected => {
            let found = profiles::recognise(&image, &command(first))?;
            (found.profile, Some(found.by))
        }
    };
    let reference = first.image_ref.clone();
    Some(ProfileFacts { profile, in_force: by.is_none(), by, image, reference, own_hooks })
}

/// What the container runs, entry point first.
fn command(container: &ContainerFacts) -> Vec<String> {
    let config = &container.inspect.0["Config"];
    let words = ["Entrypoint", "Cmd"].into_iter().filter_map(|key| config[key].as_array()).flatten();
    words.filter_map(|word| word.as_str().map(str::to_owned)).collect()
}
