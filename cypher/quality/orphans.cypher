// title: Nodes that nothing leads to
// description: Brands, categories, attribute values and aspects of which no product is left, and to which none refers
//   as what it fits, does not fit or is compared with; and reviews about nothing. They do no harm; a curator may want
//   to see them after a large removal. Pages through each label by its key, so that a call reads at most $limit nodes
//   of each label.
// param after: STRING = '' -- key after which to go on, of every label
// param limit: INTEGER = 1000 -- most nodes of a label that are looked at
// example: {}
// returns: label STRING, key STRING, name STRING

CYPHER 25
CALL () {
  MATCH (b:Brand)
  WHERE b.key > $after
  WITH b
  ORDER BY b.key
  LIMIT $limit
  FILTER NOT EXISTS {
    (b)<-[:MADE_BY|COMPATIBLE_WITH|ACCESSORY_OF|DOES_NOT_FIT|BETTER_THAN|WORSE_THAN|COMPARED_WITH]-()
  }
  RETURN 'Brand' AS label, b.key AS key, b.name AS name
UNION ALL
  MATCH (c:Category)
  WHERE c.path > $after
  WITH c
  ORDER BY c.path
  LIMIT $limit
  FILTER NOT EXISTS {
    (c)<-[:IN_CATEGORY|SUBCATEGORY_OF|COMPATIBLE_WITH|ACCESSORY_OF|DOES_NOT_FIT]-()
  }
  RETURN 'Category' AS label, c.path AS key, c.name AS name
UNION ALL
  MATCH (v:AttributeValue)
  WHERE v.key > $after
  WITH v
  ORDER BY v.key
  LIMIT $limit
  FILTER NOT EXISTS { (v)<-[:HAS_ATTRIBUTE]-() }
  RETURN 'AttributeValue' AS label, v.key AS key, v.value AS name
UNION ALL
  MATCH (a:Aspect)
  WHERE a.key > $after
  WITH a
  ORDER BY a.key
  LIMIT $limit
  FILTER NOT EXISTS { (a)<-[:PRAISED_FOR|CRITICISED_FOR]-() }
  RETURN 'Aspect' AS label, a.key AS key, a.name AS name
UNION ALL
  MATCH (r:Review)
  WHERE r.id > $after
  WITH r
  ORDER BY r.id
  LIMIT $limit
  FILTER NOT EXISTS { (r)-[:ABOUT]->() }
  RETURN 'Review' AS label, r.id AS key, r.title AS name
}
RETURN label, key, name
ORDER BY label, key
