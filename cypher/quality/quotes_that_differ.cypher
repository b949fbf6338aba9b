// title: Evidence whose quote is not what stands in its text
// description: Must give no row. Offsets count code points of the document's text, as Python does. Pages through the
//   evidence by id: after a page of fewer rows than $limit, even none, go on after the id of the last that was looked
//   at, and else after that of the last row.
// param after: STRING = '' -- id of the evidence after which to go on
// param evidence: INTEGER = 10000 -- most pieces of evidence that are looked at
// param limit: INTEGER = 100 -- most rows to return
// example: {}
// returns: evidence STRING, document STRING, start INTEGER, end INTEGER, quote STRING, text STRING

CYPHER 25
MATCH (e:Evidence)
WHERE e.id > $after
WITH e
ORDER BY e.id
LIMIT $evidence
MATCH (e)-[:FROM]->(d:Document)
LET text = substring(d.text, e.start, e.end - e.start)
FILTER coalesce(text <> e.quote, true)
RETURN e.id AS evidence, d.id AS document, e.start AS start, e.end AS end, e.quote AS quote, text
ORDER BY evidence
LIMIT $limit
