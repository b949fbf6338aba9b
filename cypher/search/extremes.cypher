// title: The products with the least or the greatest of a quantity
// description: Of the products given, or of all that stand on shelves and have the attribute values given, those with
//   the least or the greatest price or number of an attribute, each with its best evidence. What is stated in different
//   currencies or units is not compared: each has its own first rows, in their order. Of several values that a product
//   has in one unit the surest counts. Nothing inactive. `kg ask` answers "which is the cheapest" with it.
// param attribute: STRING -- name of an attribute, or price
// param most: BOOLEAN = false -- whether the greatest are wanted and not the least
// param skus: LIST<STRING> = [] -- products to look among
// param categories: LIST<STRING> = [] -- paths of categories to look in, their sub-categories included
// param attributes: LIST<STRING> = [] -- keys of attribute values, all of which must hold
// param limit: INTEGER = 5 -- most rows of each currency or unit
// example: {"attribute": "price", "categories": ["Accessories"]}
// returns: sku STRING, title STRING, says STRING, object STRING, number FLOAT, unit STRING, texts INTEGER,
//   confidence FLOAT, source STRING, quote STRING, sentence STRING, document STRING, start INTEGER, end INTEGER

CYPHER 25
LET sign = CASE WHEN $most THEN -1.0 ELSE 1.0 END
CALL () {
  CALL () {
    UNWIND $skus AS sku
    MATCH (p:Product {sku: sku})
    RETURN p
  UNION
    UNWIND $categories AS path
    MATCH (:Category {path: path})<-[:SUBCATEGORY_OF]-{0,10}(:Category)<-[:IN_CATEGORY]-(p:Product)
    RETURN p
  }
  FILTER p.active
  FILTER all(key IN $attributes WHERE EXISTS { (p)-[:HAS_ATTRIBUTE]->(:AttributeValue {key: key}) })
  RETURN collect(p) AS asked
}
CALL (asked, sign) {
  WHEN $attribute = 'price' THEN {
    CALL (asked) {
      UNWIND asked AS p
      FILTER p.price IS NOT NULL
      RETURN DISTINCT p.currency AS unit
    }
    CALL (asked, sign, unit) {
      UNWIND asked AS p
      FILTER p.price IS NOT NULL AND coalesce(p.currency, '') = coalesce(unit, '')
      WITH p
      ORDER BY sign * p.price, p.sku
      LIMIT $limit
      RETURN p
    }
    RETURN p, null AS f, p.price AS number, unit, toString(p.price) + coalesce(' ' + unit, '') AS object
  }
  ELSE {
    CALL (asked) {
      UNWIND asked AS p
      MATCH (p)-[:HAS_ATTRIBUTE]->(v:AttributeValue {attribute: $attribute})
      WHERE v.number IS NOT NULL
      RETURN DISTINCT v.unit AS unit
    }
    CALL (asked, sign, unit) {
      UNWIND asked AS p
      CALL (p, sign, unit) {
        MATCH (p)-[f:HAS_ATTRIBUTE]->(v:AttributeValue {attribute: $attribute})
        WHERE v.number IS NOT NULL AND coalesce(v.unit, '') = coalesce(unit, '')
        RETURN f, v
        ORDER BY coalesce(f.confidence, 1.0) DESC, sign * v.number
        LIMIT 1
      }
      WITH p, f, v
      ORDER BY sign * v.number, p.sku
      LIMIT $limit
      RETURN p, f, v
    }
    RETURN p, f, v.number AS number, unit, v.value + coalesce(' ' + unit, '') AS object
  }
}
// The best evidence, as in search/answer.
CALL (f) {
  OPTIONAL MATCH (e:Evidence {fact: f.fact})-[:FROM]->(d:Document)
  RETURN e, d
  ORDER BY e.confidence DESC, e.id
  LIMIT 1
}
LET before = split(left(d.text, e.start), ['. ', '! ', '? ', '。', '！', '？', '\n'])[-1],
    after = split(substring(d.text, e.end), ['. ', '! ', '? ', '。', '！', '？', '\n'])[0]
RETURN p.sku AS sku,
       p.title AS title,
       $attribute AS says,
       object,
       number,
       unit,
       coalesce(f.count, 1) AS texts,
       coalesce(f.confidence, 1.0) AS confidence,
       coalesce(f.source, 'catalogue') AS source,
       e.quote AS quote,
       trim(substring(d.text, e.start - size(before), size(before) + (e.end - e.start) + size(after) + 1)) AS sentence,
       d.id AS document,
       e.start AS start,
       e.end AS end
ORDER BY unit, sign * number, sku
