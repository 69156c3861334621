//! Answers of services, read: rows, a page, nobody, or nothing to be believed.

use serde_json::json;

use super::*;

fn entry<T: serde::de::DeserializeOwned>(text: &str) -> T {
    #[derive(serde::Deserialize)]
    struct File<T> {
        it: T,
    }
    toml::from_str::<File<T>>(text).unwrap().it
}

fn reading(rows: &str, paging: Option<&str>) -> Reading {
    Reading::new(Told { rows, success: None, nobody: None, paging }).unwrap()
}

fn link(text: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(LINK, text.parse().unwrap());
    headers
}

#[test]
fn an_answer_that_says_that_it_is_not_all_is_not_taken_for_the_whole() {
    for more in [
        json!({"next": "/people?page=2"}),
        json!({"next_page": 2}),
        json!({"@odata.nextLink": "https://x/y"}),
        json!({"hasMore": true}),
        json!({"last": false}),
        json!({"total": 3}),
        json!({"totalPages": 2}),
        json!({"links": {"next": "/2"}}),
        json!({"_links": {"next": {"href": "/2"}}}),
        json!({"pageInfo": {"hasNextPage": true}}),
        json!({"page": {"totalElements": 5}}),
    ] {
        let mut answer = more.clone();
        answer["items"] = json!([{"n": 1}]);
        let refused = reading("$.items[*]", None).page(&answer, &HeaderMap::new(), 0).unwrap_err();
        assert!(refused.detail.contains("not all there is"), "{more}: {refused}");
        let whole = reading("$.items[*]", Some("none")).page(&answer, &HeaderMap::new(), 0);
        assert_eq!(whole.unwrap().rows.len(), 1, "{more}");
    }
    for whole in [
        json!({"next": null}),
        json!({"next": ""}),
        json!({"hasMore": false, "total": 1, "last": true, "page": 1, "totalPages": 1}),
        json!({"code": 0, "msg": "ok", "links": {"self": "/1", "next": null}}),
    ] {
        let mut answer = whole.clone();
        answer["items"] = json!([{"n": 1, "next": "what a row says is its own", "total": 9}]);
        let page = reading("$.items[*]", None).page(&answer, &HeaderMap::new(), 0).unwrap();
        assert_eq!((page.rows.len(), page.next), (1, None), "{whole}");
    }
    let bare = json!([{"n": 1}]);
    assert!(reading("$[*]", None).page(&bare, &link("</2>; rel=\"next\""), 0).is_err());
    assert!(reading("$[*]", None).page(&bare, &link("</1>; rel=prev"), 0).is_ok());
}

#[test]
fn the_next_page_is_where_the_mapping_says() {
    let answer = json!({"items": [{"n": 1}], "paging": {"next": "/2", "total": 2}});
    let by_path = reading("$.items[*]", Some("$.paging.next"));
    assert_eq!(by_path.page(&answer, &HeaderMap::new(), 0).unwrap().next.unwrap(), "/2");
    let last = json!({"items": [{"n": 1}], "paging": {"next": null, "total": 2}});
    assert_eq!(by_path.page(&last, &HeaderMap::new(), 1).unwrap().next, None);
    // The last page says that there were more than came.
    assert!(by_path.page(&last, &HeaderMap::new(), 0).is_err());
    let odd = json!({"items": [], "paging": {"next": {"page": 2}}});
    assert!(by_path.page(&odd, &HeaderMap::new(), 0).is_err());
    let by_link = reading("$[*]", Some("link"));
    let headers = link("</people?page=1>; rel=\"first\", </people?page=3>; rel=\"next last\"");
    let next = by_link.page(&json!([]), &headers, 0).unwrap().next;
    assert_eq!(next.unwrap(), "/people?page=3");
}

#[test]
fn what_means_well_and_who_is_nobody_is_stated() {
    let success: SuccessEntry = entry("it = { path = \"$.code\", values = [0, \"OK\"] }");
    let nobody: NobodyEntry = entry("it = { path = \"$.code\", values = [40401] }");
    let told =
        Told { rows: "$.list[*]", success: Some(&success), nobody: Some(&nobody), paging: None };
    let reading = Reading::new(told).unwrap();
    let page =
        |answer: &Value| reading.page(answer, &HeaderMap::new(), 0).map(|page| page.rows.len());
    for well in [json!({"code": 0, "list": []}), json!({"code": "OK", "list": []})] {
        assert_eq!(page(&well).unwrap(), 0);
    }
    for failed in
        [json!({"code": 500, "list": []}), json!({"list": []}), json!({"code": "0", "list": []})]
    {
        assert!(page(&failed).unwrap_err().detail.contains("`$.code`"), "{failed}");
    }
    let unknown = json!({"code": 40401});
    assert!(reading.nobody(200, Some(&unknown), true));
    assert!(!reading.nobody(200, Some(&json!({"code": 0})), true));
    assert!(!reading.nobody(404, Some(&unknown), true), "404 is not stated");
    assert!(reading.nobody(204, None, true) && !reading.nobody(204, None, false));
}

#[test]
fn a_status_means_nobody_only_where_it_is_stated() {
    let with = |text: &str| {
        let nobody: NobodyEntry = entry(text);
        Reading::new(Told { rows: "$[*]", success: None, nobody: Some(&nobody), paging: None })
    };
    let unstated = reading("$[*]", None);
    for status in [200, 404, 410, 500] {
        assert!(!unstated.nobody(status, None, true), "{status}");
    }
    let stated = with("it = [404, 410]").unwrap();
    assert!(stated.nobody(404, None, true) && stated.nobody(410, None, false));
    assert!(!stated.nobody(400, None, true));
    let both =
        with("it = { statuses = [404], path = \"$.error\", values = [\"unknown\"] }").unwrap();
    assert!(both.nobody(404, Some(&json!({"error": "unknown"})), true));
    assert!(!both.nobody(404, Some(&json!({"error": "no such path"})), true));
    assert!(!both.nobody(404, None, true) && both.reads_body_of(404));
    let empty = with("it = { path = \"$.data\", empty = true }").unwrap();
    assert!(empty.nobody(200, Some(&json!({"data": null})), true));
    assert!(!empty.nobody(200, Some(&json!({"data": 0})), true));
    assert!(!empty.nobody(200, Some(&json!({"error": 1})), true), "not there is not empty");
    for (wrong, phrase) in [
        ("it = []", "says nothing"),
        ("it = [500]", "status 500"),
        ("it = [401]", "something else"),
        ("it = { path = \"$.a\" }", "`values`"),
        ("it = { path = \"a\", empty = true }", "no JSONPath"),
    ] {
        let refused = with(wrong).unwrap_err();
        assert!(refused.contains(phrase), "{wrong}: {refused}");
    }
}
