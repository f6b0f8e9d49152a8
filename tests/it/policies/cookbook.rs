//! The policies of the cookbook are sound, and decide as their cases say.

use super::files::Folder;

const COOKBOOK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/policies/cookbook");

#[tokio::test]
async fn every_policy_of_the_cookbook_is_sound_and_decides_a_case() {
    let folder = Folder::new(&[]);
    let said = folder.policy(&["check", COOKBOOK, "--strict"]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let (code, told) = folder.json(&["test", COOKBOOK]).await;
    assert_eq!(code, Some(0), "{told}");
    let undecided = told["undecided"].as_array().unwrap();
    let own = undecided
        .iter()
        .filter(|id| !id.as_str().unwrap().starts_with("default."));
    assert_eq!(own.count(), 0, "{told}");
}

/// What the page shows is what stands in the files.
#[test]
fn the_page_shows_the_policies_as_they_are() {
    let page = include_str!("../../../docs/cookbook.md");
    let mut shown = 0;
    for part in page.split("```cedar\n").skip(1) {
        let policy = part.split("```").next().unwrap();
        let found = std::fs::read_dir(COOKBOOK).unwrap().any(|file| {
            let path = file.unwrap().path();
            path.is_file() && std::fs::read_to_string(path).unwrap().contains(policy)
        });
        assert!(found, "{policy}");
        shown += 1;
    }
    assert_eq!(shown, 8);
}
