// title: Evidence whose quote is not what stands in its text
// description: Must give no row. Offsets count code points of the document's text, as Python does. The evidence is read
//   in the order of its id, so that a large graph can be audited page by page: pass the last id seen as $after.
// param after: STRING = '' -- only evidence with a greater id
// param limit: INTEGER = 100 -- most rows to return
// example: {}
// returns: evidence STRING, document STRING, start INTEGER, end INTEGER, quote STRING, text STRING

CYPHER 25
MATCH (e:Evidence)
WHERE e.id > $after
MATCH (e)-[:FROM]->(d:Document)
LET text = substring(d.text, e.start, e.end - e.start)
FILTER coalesce(text <> e.quote, true)
RETURN e.id AS evidence, d.id AS document, e.start AS start, e.end AS end, e.quote AS quote, text
ORDER BY evidence
LIMIT $limit
