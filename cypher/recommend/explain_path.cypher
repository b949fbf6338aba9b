// title: The evidence along a path of an explanation
// description: Give it the steps of a row of recommend/explain as $path, and it walks them in the graph as it is now.
//   Each step that still stands has rows: who or what, the relation, and the places in texts behind it, down to the
//   sentence of a description or review, with the review's stars. Behind what a user did stand the user's own reviews
//   of that product. A step without evidence has one row without a sentence; one that no longer stands has none.
// param path: LIST<MAP> -- steps {type, from, to}, as in the column steps of recommend/explain
// param per_step: INTEGER = 3 -- most places in texts for one step
// example: {"path": [{"type": "BOUGHT", "from": "ben", "to": "G1"},
//   {"type": "ACCESSORY_OF", "from": "S1", "to": "G1"}]}
// returns: step INTEGER, subject STRING, type STRING, object STRING, confidence FLOAT, quote STRING, sentence STRING,
//   document STRING, review STRING, rating FLOAT, at ZONED DATETIME

CYPHER 25
UNWIND range(0, size($path) - 1) AS i
LET step = $path[i]
CALL (step) {
  // What a user did, and wrote of it.
  MATCH (u:User {id: step.from})
  MATCH (p:Product {sku: step.to})
  MATCH (u)-[r:BOUGHT|RATED|CARTED|CLICKED|VIEWED]->(p)
  WHERE type(r) = step.type
  WITH u, p, max(r.at) AS at
  RETURN u.id AS subject, p.title AS object, at, COLLECT {
    MATCH (u)-[:WROTE]->(w:Review)-[:ABOUT]->(p)
    MATCH (w)-[:HAS_TEXT]->(:Document)<-[:FROM]-(e:Evidence)
    RETURN DISTINCT e
    ORDER BY e.confidence DESC, e.id
    LIMIT $per_step
  } AS evidence
UNION ALL
  // What is said of a product.
  MATCH (p:Product {sku: step.from})
  MATCH (p)-[r:MADE_BY|IN_CATEGORY|HAS_ATTRIBUTE|PRAISED_FOR|ACCESSORY_OF|COMPATIBLE_WITH|BOUGHT_WITH|VIEWED_WITH|
            VARIANT_OF|SUBSTITUTE_FOR|SIMILAR_TO]->(x)
  WHERE type(r) = step.type AND step.to IN [x.sku, x.key, x.path]
  WITH p, x, collect(r.fact) AS facts
  RETURN p.title AS subject,
         CASE WHEN x:AttributeValue THEN x.attribute + ' = ' + x.value ELSE coalesce(x.title, x.name) END AS object,
         null AS at,
         COLLECT {
           MATCH (e:Evidence)
           WHERE e.fact IN facts
           RETURN e
           ORDER BY e.confidence DESC, e.id
           LIMIT $per_step
         } AS evidence
UNION ALL
  // Others who took both. As in recommend/explain they are counted from the less popular of the two, among 500 of its
  // takers at most.
  MATCH (a:Product {sku: step.from})
  MATCH (b:Product {sku: step.to})
  WHERE step.type = 'TAKEN_BY_BOTH'
  LET first = COUNT { (a)<-[:BOUGHT|RATED]-() } <= COUNT { (b)<-[:BOUGHT|RATED]-() }
  LET rare = CASE WHEN first THEN a ELSE b END,
      other = CASE WHEN first THEN b ELSE a END
  CALL (rare, other) {
    MATCH (rare)<-[did:BOUGHT|RATED]-(o:User)
    WHERE coalesce(did.rating, 5.0) >= 3.0
    WITH DISTINCT o, other
    LIMIT 500
    MATCH (o)-[also:BOUGHT|RATED]->(other)
    WHERE coalesce(also.rating, 5.0) >= 3.0
    RETURN count(DISTINCT o) AS takers
  }
  FILTER takers > 0
  RETURN a.title AS subject, b.title AS object, null AS at, [] AS evidence
}
UNWIND CASE evidence WHEN [] THEN [null] ELSE evidence END AS e
OPTIONAL MATCH (e)-[:FROM]->(d:Document)
OPTIONAL MATCH (d)<-[:HAS_TEXT]-(w:Review)
LET before = split(left(d.text, e.start), ['. ', '! ', '? ', '。', '！', '？', '\n'])[-1],
    after = split(substring(d.text, e.end), ['. ', '! ', '? ', '。', '！', '？', '\n'])[0]
LET length = size(before) + (e.end - e.start) + size(after) + 1
RETURN i + 1 AS step, subject, step.type AS type, object, e.confidence AS confidence, e.quote AS quote,
       trim(substring(d.text, e.start - size(before), length)) AS sentence, d.id AS document, w.id AS review,
       w.rating AS rating, coalesce(w.at, at) AS at
ORDER BY step, confidence DESC, document
