// title: Products that cannot be recommended, and why
// description: Products that no recommendation shows, because they are inactive or out of stock, and those on sale that
//   none can reach well: without a vector of the live model, without a vector of their text, or without any relation or
//   event. Each comes with what is missing and what to do about it. What is on sale stands first and what is inactive,
//   of which nothing else is told, last: a shop has more of what it no longer sells than anybody reads. Pages through
//   the products by sku.
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
LET vector = CASE live.slot WHEN 'blue' THEN p.embedding_blue WHEN 'green' THEN p.embedding_green END
LET active = coalesce(p.active, false), sold_out = coalesce(p.stock, 1) <= 0
LET lacking =
  CASE WHEN sold_out THEN ['out of stock: kg ingest products, once there is some'] ELSE [] END +
  CASE
    WHEN live IS NULL THEN ['no model is live: kg train, kg promote']
    WHEN vector IS NULL THEN ['no vector of the live model: kg train, kg promote']
    ELSE []
  END +
  CASE WHEN p.text_embedding IS NULL THEN ['no vector of its text: kg extract'] ELSE [] END +
  CASE
    WHEN EXISTS { (p)<-[:BOUGHT|RATED|CARTED|CLICKED|VIEWED]-(:User) } THEN []
    WHEN EXISTS { (p)-[:HAS_ATTRIBUTE|IN_CATEGORY|MADE_BY|ACCESSORY_OF|COMPATIBLE_WITH]->() } THEN []
    // What others say of it leads to it as well.
    WHEN EXISTS {
      (p)-[:BOUGHT_WITH|VIEWED_WITH|ACCESSORY_OF|COMPATIBLE_WITH|SUBSTITUTE_FOR|VARIANT_OF]-(:Product)
    } THEN []
    ELSE ['neither events nor facts: a description, a brand or a category would help']
  END
LET missing = CASE WHEN active THEN lacking ELSE ['inactive: kg ingest products, if it is sold again'] END
FILTER size(missing) > 0
RETURN p.sku AS sku, p.title AS title, missing
ORDER BY active DESC, sold_out, size(missing) DESC, sku
LIMIT $limit
