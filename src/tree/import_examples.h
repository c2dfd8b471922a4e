/* Small model files of each format, written for the tests and as seeds for fuzzing: two trees, the
 * second with a split by category. */
#ifndef TREE_IMPORT_EXAMPLES_H
#define TREE_IMPORT_EXAMPLES_H

static const char example_lightgbm[] =
    "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=1\n"
    "objective=binary sigmoid:2\nfeature_names=price volume\nfeature_infos=[0:1] none\n\n"
    "Tree=0\nnum_leaves=3\nnum_cat=0\nsplit_feature=0 1\nsplit_gain=5 2\nthreshold=0.5 -1.25\n"
    "decision_type=2 8\nleft_child=1 -1\nright_child=-2 -3\nleaf_value=0.5 -0.25 1\n"
    "leaf_weight=1 2 3\nleaf_count=10 20 30\ninternal_value=0 0\ninternal_weight=0 0\n"
    "internal_count=60 40\nis_linear=0\nshrinkage=1\n\n\n"
    "Tree=1\nnum_leaves=2\nnum_cat=1\nsplit_feature=1\nsplit_gain=1\nthreshold=0\ndecision_type=1\n"
    "left_child=-1\nright_child=-2\nleaf_value=2 4\nleaf_count=30 30\ninternal_count=60\n"
    "cat_boundaries=0 2\ncat_threshold=5 1\nis_linear=0\nshrinkage=0.1\n\n\n"
    "Tree=2\nnum_leaves=2\nnum_cat=0\nsplit_feature=0\nsplit_gain=1\nthreshold=0\ndecision_type=0\n"
    "left_child=-1\nright_child=-2\nleaf_value=8 16\nleaf_count=30 30\ninternal_count=60\n"
    "is_linear=1\nleaf_const=0.125 8\nnum_features=2 0\nleaf_features=0 1 \nleaf_coeff=1 0.5 \n"
    "shrinkage=0.1\n\n\nend of trees\n\nfeature_importances:\nprice=1\n";

static const char example_xgboost[] =
    "{\"learner\":{\"feature_names\":[\"price\",\"volume\"],\"gradient_booster\":{\"model\":{"
    "\"gbtree_model_param\":{\"num_trees\":\"2\"},\"tree_info\":[0,0],\"trees\":["
    "{\"left_children\":[1,3,-1,-1,-1],\"right_children\":[2,4,-1,-1,-1],"
    "\"split_indices\":[0,1,0,0,0],\"split_conditions\":[0.5,-1.25,-0.25,0.5,1.0],"
    "\"default_left\":[1,0,0,0,0],\"loss_changes\":[5.0,2.0,0.0,0.0,0.0],"
    "\"sum_hessian\":[60.0,40.0,20.0,10.0,30.0],"
    "\"tree_param\":{\"num_nodes\":\"5\",\"size_leaf_vector\":\"1\"}},"
    "{\"left_children\":[1,-1,-1],\"right_children\":[2,-1,-1],\"split_indices\":[1,0,0],"
    "\"split_conditions\":[0.0,4.0,2.0],\"default_left\":[1,0,0],\"split_type\":[1,0,0],"
    "\"categories\":[0,2,32],\"categories_nodes\":[0],\"categories_segments\":[0],"
    "\"categories_sizes\":[3],\"tree_param\":{\"num_nodes\":\"3\"}}]},\"name\":\"gbtree\"},"
    "\"learner_model_param\":{\"base_score\":\"5E-1\",\"num_class\":\"0\",\"num_feature\":\"2\"},"
    "\"objective\":{\"name\":\"binary:logistic\"}},\"version\":[3,2,0]}";

#endif
