// title: Products that cannot be recommended, and why
// description: Products on sale that no recommendation can reach well: without a vector of the live model, without a
//   vector of their text, or without any relation or event. Each comes with what is missing and what to do about it.
//   Pages through the products by sku.
// param after: STRING = '' -- sku after which to go on
// param products: INTEGER = 10000 -- most products that are looked at
// param limit: INTEGER = 100 -- most rows to return
// example: {"limit": 3}
// returns: sku STRING, title STRING, missing LIST<STRING>

CYPHER 25
CALL () { MATCH (s:Serving {name: 'model'}) RETURN max(s.version) AS version }
OPTIONAL MATCH (live:ModelVersion {id: version})
MATCH (p:Product)
WHERE p.sku > $after
WITH live, p
ORDER BY p.sku
LIMIT $products
FILTER p.active
LET vector = CASE live.slot WHEN 'blue' THEN p.embedding_blue WHEN 'green' THEN p.embedding_green END
LET missing =
  CASE
    WHEN live IS NULL THEN ['no model is live: kg train, kg promote']
    WHEN vector IS NULL THEN ['no vector of the live model: kg train, kg promote']
    ELSE []
  END +
  CASE WHEN p.text_embedding IS NULL THEN ['no vector of its text: kg extract'] ELSE [] END +
  CASE
    WHEN EXISTS { (p)<-[:BOUGHT|RATED|CARTED|VIEWED]-(:User) } THEN []
    WHEN EXISTS { (p)-[:HAS_ATTRIBUTE|IN_CATEGORY|MADE_BY|ACCESSORY_OF|COMPATIBLE_WITH]->() } THEN []
    ELSE ['neither events nor facts: a description, a brand or a category would help']
  END
FILTER size(missing) > 0
RETURN p.sku AS sku, p.title AS title, missing
ORDER BY size(missing) DESC, sku
LIMIT $limit
