// title: The shelves of the shop
// description: The categories right below a category, or the topmost ones, each with the products on sale in it and
//   in its sub-categories; the fullest first, empty ones left out. For a page that lets people browse.
// param category: STRING = null -- path of the category to look into; null for the topmost
// param limit: INTEGER = 50 -- most rows to return
// example: {}
// returns: category STRING, name STRING, products INTEGER, parted BOOLEAN

CYPHER 25
CALL () {
  WHEN $category IS NULL THEN {
    MATCH (c:Category)
    WHERE c.path > '' AND NOT EXISTS { (c)-[:SUBCATEGORY_OF]->(:Category) }
    RETURN c
  }
  ELSE {
    MATCH (:Category {path: $category})<-[:SUBCATEGORY_OF]-(c:Category)
    RETURN DISTINCT c
  }
}
CALL (c) {
  MATCH (c)<-[:SUBCATEGORY_OF]-{0,10}(:Category)<-[:IN_CATEGORY]-(p:Product)
  WHERE p.active AND coalesce(p.stock, 1) > 0
  RETURN count(DISTINCT p) AS products
}
FILTER products > 0
RETURN c.path AS category, c.name AS name, products, EXISTS { (c)<-[:SUBCATEGORY_OF]-(:Category) } AS parted
ORDER BY products DESC, category
LIMIT $limit
