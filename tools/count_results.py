#!/usr/bin/python3
"""Counts test cases in what Bazel has run.

  count_results.py EVENTS.json EXIT_STATUS

EVENTS.json is the file of --build_event_json_file. Prints "PASSED FAILED SKIPPED".
Each case of a test.xml counts. A test that ended badly without a failed case (a
crash, a timeout) and a target that does not build count as one failure each.
"""

import json
import sys
import urllib.parse
import xml.etree.ElementTree as xml


def count_cases(path):
    """[passed, failed, skipped] in one test.xml."""
    counts = [0, 0, 0]
    for case in xml.parse(path).getroot().iter("testcase"):
        tags = {child.tag for child in case}
        if tags & {"failure", "error"}:
            counts[1] += 1
        elif "skipped" in tags or case.get("status") == "notrun":
            counts[2] += 1
        else:
            counts[0] += 1
    return counts


def count_test(result):
    """Counts of one testResult event."""
    counts = [0, 0, 0]
    for output in result.get("testActionOutput", []):
        if output["name"] == "test.xml" and output.get("uri", "").startswith("file:"):
            path = urllib.parse.unquote(urllib.parse.urlparse(output["uri"]).path)
            try:
                counts = count_cases(path)
            except (OSError, xml.ParseError):
                pass
    passed = result.get("status") == "PASSED"
    if passed and sum(counts) == 0:
        counts[0] = 1
    if not passed and counts[1] == 0:
        counts[1] = 1
    return counts


def main():
    total = [0, 0, 0]
    results, unbuilt = {}, set()
    with open(sys.argv[1]) as events:
        for line in events:
            event = json.loads(line)
            if "testResult" in event:
                label = event["id"]["testResult"]["label"]
                results[label] = event["testResult"]  # the last attempt stands
            elif "completed" in event and not event["completed"].get("success"):
                unbuilt.add(event["id"]["targetCompleted"]["label"])
    for result in results.values():
        total = [a + b for a, b in zip(total, count_test(result))]
    total[1] += len(unbuilt - set(results))
    if int(sys.argv[2]) not in (0, 4) and total[1] == 0:  # 4: no tests to run
        total[1] = 1
    print(*total)


if __name__ == "__main__":
    main()
