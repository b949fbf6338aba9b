// title: Why the graph believes what it read about a product
// description: Each extracted fact of the product with the places in texts that support it: the quote, the sentence
//   around it, and where it stands (offsets count code points of the document's text). Strongest facts first.
// param sku: STRING -- the product's sku
// param per_fact: INTEGER = 3 -- most places to show for one fact
// param limit: INTEGER = 100 -- most rows to return
// example: {"sku": "S1"}
// returns: type STRING, object STRING, confidence FLOAT, quote STRING, sentence STRING, document STRING,
//   start INTEGER, end INTEGER, extractor STRING, version STRING, at ZONED DATETIME, fact STRING

CYPHER 25
MATCH (p:Product {sku: $sku})
MATCH
  (p)-[f:MADE_BY|IN_CATEGORY|HAS_ATTRIBUTE|COMPATIBLE_WITH|ACCESSORY_OF|DOES_NOT_FIT|PRAISED_FOR|CRITICISED_FOR
  |BETTER_THAN|WORSE_THAN|COMPARED_WITH]->(x)
WHERE f.fact IS NOT NULL
WITH f, x
ORDER BY f.confidence DESC, f.fact
LIMIT $limit
// The fact's evidence is found through the index on Evidence.fact, however many texts the product has.
CALL (f) {
  MATCH (e:Evidence {fact: f.fact})-[:FROM]->(d:Document)
  RETURN e, d
  ORDER BY e.confidence DESC, d.id, e.start
  LIMIT $per_fact
}
// The sentence reaches from the last full stop or line break before the quote to the first one after it; its own
// full stop belongs to it, which is the one character more.
LET before = split(left(d.text, e.start), ['. ', '! ', '? ', '。', '！', '？', '\n'])[-1],
    after = split(substring(d.text, e.end), ['. ', '! ', '? ', '。', '！', '？', '\n'])[0]
LET begin = e.start - size(before),
    length = size(before) + (e.end - e.start) + size(after) + 1
RETURN type(f) AS type,
       CASE
         WHEN x:AttributeValue THEN x.attribute + ' = ' + x.value + coalesce(' ' + x.unit, '')
         ELSE coalesce(x.title, x.name)
       END AS object,
       e.confidence AS confidence,
       e.quote AS quote,
       trim(substring(d.text, begin, length)) AS sentence,
       d.id AS document,
       e.start AS start,
       e.end AS end,
       e.extractor AS extractor,
       e.version AS version,
       e.at AS at,
       f.fact AS fact
ORDER BY f.confidence DESC, fact, confidence DESC, document, start
LIMIT $limit
