// title: What texts compare a product with
// description: One row for each product or brand beside which the texts put this product: how many prefer this one, how
//   many the other, how many only name the two side by side, and the aspects on which they compare them, the most
//   often named first. What the texts of another product say of this one counts from this one's side. The surest
//   sentence stands beside it. Most texts first; no row where no text compares.
// param sku: STRING -- the product's sku
// param limit: INTEGER = 20 -- most rows to return
// example: {"sku": "G2"}
// returns: kind STRING, key STRING, name STRING, preferred INTEGER, other_preferred INTEGER, alike INTEGER,
//   aspects LIST<STRING>, quote STRING, sentence STRING, document STRING

CYPHER 25
MATCH (this:Product {sku: $sku})
CALL (this) {
  MATCH (this)-[f:BETTER_THAN|WORSE_THAN|COMPARED_WITH]->(other)
  RETURN other, f, type(f) AS side
UNION ALL
  MATCH (this)<-[f:BETTER_THAN|WORSE_THAN|COMPARED_WITH]-(other:Product)
  RETURN other, f, {BETTER_THAN: 'WORSE_THAN', WORSE_THAN: 'BETTER_THAN', COMPARED_WITH: 'COMPARED_WITH'}[type(f)]
         AS side
}
WITH other, sum(CASE side WHEN 'BETTER_THAN' THEN coalesce(f.count, 1) ELSE 0 END) AS preferred,
     sum(CASE side WHEN 'WORSE_THAN' THEN coalesce(f.count, 1) ELSE 0 END) AS other_preferred,
     sum(CASE side WHEN 'COMPARED_WITH' THEN coalesce(f.count, 1) ELSE 0 END) AS alike,
     collect(f.fact) AS facts
ORDER BY preferred + other_preferred + alike DESC, coalesce(other.sku, other.key)
LIMIT $limit
CALL (facts) {
  MATCH (e:Evidence)-[:MENTIONS]->(a:Aspect)
  WHERE e.fact IN facts
  WITH a.name AS name, count(DISTINCT e) AS times
  ORDER BY times DESC, name
  RETURN collect(name) AS aspects
}
CALL (facts) {
  OPTIONAL MATCH (e:Evidence)-[:FROM]->(d:Document)
  WHERE e.fact IN facts AND NOT EXISTS { (e)-[:MENTIONS]->(:Aspect) }
  RETURN e, d
  ORDER BY e.confidence DESC, e.id
  LIMIT 1
}
// The sentence is cut as in product/why.
LET before = split(left(d.text, e.start), ['. ', '! ', '? ', '。', '！', '？', '\n'])[-1],
    after = split(substring(d.text, e.end), ['. ', '! ', '? ', '。', '！', '？', '\n'])[0]
RETURN CASE WHEN other:Product THEN 'product' ELSE 'brand' END AS kind,
       coalesce(other.sku, other.key) AS key,
       coalesce(other.title, other.name) AS name,
       preferred,
       other_preferred,
       alike,
       aspects,
       e.quote AS quote,
       trim(substring(d.text, e.start - size(before), size(before) + (e.end - e.start) + size(after) + 1)) AS sentence,
       d.id AS document
ORDER BY preferred + other_preferred + alike DESC, key
