// title: By what a shelf can be narrowed
// description: For the products on sale in a category and its sub-categories: each attribute with its values and how
//   many products have each, and brands likewise, so that a page can offer them as filters. A facet that fits every
//   product or one alone narrows nothing and is left out. Of a larger shelf the 10,000 most popular products are
//   counted.
// param category: STRING -- path of a category
// param values: INTEGER = 10 -- most values of a facet
// param limit: INTEGER = 20 -- most facets
// example: {"category": "Accessories"}
// returns: facet STRING, products INTEGER, values LIST<MAP>

CYPHER 25
MATCH (c:Category {path: $category})<-[:SUBCATEGORY_OF]-{0,10}(:Category)<-[:IN_CATEGORY]-(p:Product)
WHERE p.active AND coalesce(p.stock, 1) > 0
WITH DISTINCT p
ORDER BY coalesce(p.popularity, 0.0) DESC, p.sku
LIMIT 10000
WITH collect(p) AS found
CALL (found) {
  UNWIND found AS p
  MATCH (p)-[:HAS_ATTRIBUTE]->(v:AttributeValue)
  WITH v, count(DISTINCT p) AS n
  RETURN v.attribute AS facet, v.value + coalesce(' ' + v.unit, '') AS value, v.key AS key, n
UNION ALL
  UNWIND found AS p
  MATCH (p)-[:MADE_BY]->(b:Brand)
  WITH b, count(DISTINCT p) AS n
  RETURN 'brand' AS facet, b.name AS value, b.key AS key, n
}
FILTER n < size(found)
WITH facet, value, key, n
ORDER BY n DESC, value
WITH facet, sum(n) AS products, collect({value: value, key: key, products: n}) AS values
FILTER products > 1
RETURN facet, products, values[..$values] AS values
ORDER BY products DESC, facet
LIMIT $limit
